"""The least that any program must do for a cast: trains out of one socket, and into others. The floor under ours.

`python -m bench.lab.bare send GROUP PACKETS`, `python -m bench.lab.bare receive GROUP [digest]`. Both print what they
found as JSON, a receiver once nothing came for a while; before, it prints `ready` when its socket is open. Times are
those of CLOCK_MONOTONIC, which all namespaces of a machine share.

There are no headers, no authenticator, no decoding, no report and no pace but the link's: who outruns the receivers
only fills their buffers. With `digest` a receiver takes BLAKE3 of every 4 MiB, as whoever verifies has to.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass

from blake3 import blake3

from transports.multicast.udp.membership import dropped
from transports.multicast.udp.options import SOL_UDP, UDP_GRO, UDP_SEGMENT, enlarge_receive_buffer

__all__ = ["PACKET_BYTES", "PORT", "READY", "Arrival", "Sent", "receive", "send"]

PORT = 7001
READY = "ready"
PACKET_BYTES = 1472
"""Payload: 1500 bytes with IP and UDP headers, 1514 on the cable."""
TRAIN_PACKETS = 44
CHUNK_BYTES = 4 << 20
SILENCE_S = 1.0
PATIENCE_S = 10.0
BUFFER_BYTES = 64 << 20
TRAIN_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a sender says."""

    began_at: float
    cpu_s: float
    """Of the process, while it sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What came to one receiver."""

    bytes: int
    """UDP payload."""
    trains: int
    """Receive calls that brought something."""
    dropped: int
    """Trains that its socket had no room for."""
    last_at: float
    """When the last of it was taken, and digested."""
    cpu_s: float
    """Of the process, while it received."""


def send(group: str, packets: int) -> Sent:
    """Send `packets` in trains, as fast as the link takes them."""
    payload = memoryview(bytes(PACKET_BYTES * TRAIN_PACKETS))
    segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", PACKET_BYTES))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        began, cpu = time.monotonic(), time.process_time()
        for first in range(0, packets, TRAIN_PACKETS):
            train = min(TRAIN_PACKETS, packets - first)
            out.sendmsg([payload[: train * PACKET_BYTES]], segment, 0, (group, PORT))
    return Sent(began_at=began, cpu_s=time.process_time() - cpu)


def receive(group: str, *, digest: bool = False) -> Arrival:
    """Take what comes for `group` until there is silence."""
    room = memoryview(bytearray(CHUNK_BYTES + TRAIN_MAX_BYTES))
    total = filled = trains = 0
    last_at, cpu = 0.0, time.process_time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet:
        enlarge_receive_buffer(inlet, BUFFER_BYTES)
        inlet.setsockopt(SOL_UDP, UDP_GRO, 1)
        inlet.bind((group, PORT))
        if ipaddress.ip_address(group).is_multicast:
            inlet.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4))
        print(READY, flush=True)
        inlet.settimeout(PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            while True:
                length = inlet.recv_into(room[filled:])
                if not trains:
                    inlet.settimeout(SILENCE_S)
                trains += 1
                total += length
                filled += length
                if filled >= CHUNK_BYTES:
                    if digest:
                        blake3(room[:CHUNK_BYTES]).digest()
                    filled = 0
                last_at = time.monotonic()
        lost = dropped(inlet)
    return Arrival(bytes=total, trains=trains, dropped=lost, last_at=last_at, cpu_s=time.process_time() - cpu)


def main() -> None:
    """Run what the command line says."""
    match sys.argv[1:]:
        case ["send", group, packets]:
            print(json.dumps(asdict(send(group, int(packets)))))
        case ["receive", group]:
            print(json.dumps(asdict(receive(group))))
        case ["receive", group, "digest"]:
            print(json.dumps(asdict(receive(group, digest=True))))
        case _:
            sys.exit("what to type: send GROUP PACKETS, receive GROUP, receive GROUP digest")


if __name__ == "__main__":
    main()
