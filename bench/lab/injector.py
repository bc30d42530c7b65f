"""A host that means harm: it overhears a room and sends forgeries into it. Runs in a lab only.

`python -m bench.lab.injector INTERFACE PACKETS_PER_S` listens to every packet for a group (a switch
without snooping gives them to all), and sends for what it hears, in turn:
 - the same packet with other content, under the server's address;
 - the packet itself once more, unchanged;
 - the packet cut short, grown, of another version, or with noise in its head;
 - a forged report, made of noise or of a packet heard, to the address and port the packet came from: udpcast, uftp
   and ogcast take what receivers say where they send.
It needs nothing of ogcast's format: it changes bytes. Ended by SIGTERM it prints how many of each it sent.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from types import FrameType

__all__ = ["KINDS", "forge", "frame_of", "payload_of", "sender_of"]

KINDS = ("content", "replay", "malformed", "report")
KEPT_BYTES = 24
"""Bytes at the front that a forgery of content keeps: longer than the head of any tool measured here."""
SMALLEST_BYTES = 400
"""Payloads below this are no data."""
ETHERNET_BYTES, UDP_BYTES = 14, 8
HEARD_BYTES = 4096
"""What the kernel keeps for it to hear: the next packet or two. To look at every packet of a room would take the
processor of a machine that the whole room shares."""
_ETH_P_ALL = 3
_IPV4 = 0x0800
_UDP = 17


def payload_of(frame: bytes) -> tuple[int, int] | None:
    """(first, end) of the UDP payload of an IPv4 frame to a group or to all; None for everything else."""
    if len(frame) < ETHERNET_BYTES + 20 + UDP_BYTES or not frame[0] & 1:
        return None
    if struct.unpack_from("!H", frame, 12)[0] != _IPV4 or frame[ETHERNET_BYTES + 9] != _UDP:
        return None
    head = ETHERNET_BYTES + (frame[ETHERNET_BYTES] & 15) * 4
    return head + UDP_BYTES, min(len(frame), ETHERNET_BYTES + struct.unpack_from("!H", frame, ETHERNET_BYTES + 2)[0])


def sender_of(frame: bytes) -> tuple[str, int]:
    """Address and UDP port that a frame `payload_of` knows came from."""
    first, _ = payload_of(frame) or (0, 0)
    port = struct.unpack_from("!H", frame, first - UDP_BYTES)[0]
    return socket.inet_ntoa(frame[ETHERNET_BYTES + 12 : ETHERNET_BYTES + 16]), int(port)


def frame_of(frame: bytes, payload: bytes, own_address: bytes) -> bytes:
    """The frame with another payload and no UDP checksum, from our own port (switches learn addresses from it)."""
    first, _ = payload_of(frame) or (0, 0)
    ip = bytearray(frame[ETHERNET_BYTES : first - UDP_BYTES])
    struct.pack_into("!H", ip, 2, len(ip) + UDP_BYTES + len(payload))
    ip[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{len(ip) // 2}H", ip))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", ip, 10, ~total & 0xFFFF)
    udp = frame[first - UDP_BYTES : first - 4] + struct.pack("!HH", UDP_BYTES + len(payload), 0)
    return frame[:6] + own_address + frame[12:14] + bytes(ip) + udp + payload


def forge(kind: str, payload: bytes, rng: random.Random) -> bytes:
    """What is made of a payload that was overheard."""
    if kind == "content":
        return payload[:KEPT_BYTES] + rng.randbytes(len(payload) - KEPT_BYTES)
    if kind == "malformed":
        way = rng.randrange(4)
        if way == 0:
            return payload[: rng.randrange(1, len(payload))]
        if way == 1:
            return bytes([payload[0] ^ 0x30]) + payload[1:]
        if way == 2:
            return rng.randbytes(KEPT_BYTES) + payload[KEPT_BYTES:]
        return b""
    return payload


def main() -> None:
    """Entry point."""
    interface, per_s = sys.argv[1], float(sys.argv[2])
    subprocess.run(["ethtool", "-K", interface, "gro", "off"], check=True)  # frames as they were on the cable
    rng = random.Random(1)
    sent = dict.fromkeys(KINDS, 0)
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as wire,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reports,
    ):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HEARD_BYTES)
        wire.bind((interface, _ETH_P_ALL))
        wire.settimeout(0.05)
        own_address = wire.getsockname()[4]
        print("ready", flush=True)
        due = time.monotonic()
        number = 0
        while not stopping:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                frame = wire.recv(4096)
            except TimeoutError:
                continue
            now = time.monotonic()
            place = payload_of(frame)
            if place is None or place[1] - place[0] < SMALLEST_BYTES or frame[6:12] == own_address:
                continue
            due = max(due, now - 0.1) + 1 / per_s
            kind = KINDS[number % len(KINDS)]
            number += 1
            payload = forge(kind, frame[place[0] : place[1]], rng)
            try:
                if kind == "report":
                    noise = bytes([payload[0] & 0xF0 | 4]) + rng.randbytes(rng.randrange(8, 200))
                    reports.sendto(noise if number % 8 < 4 else payload[:200], sender_of(frame))
                else:
                    wire.send(frame_of(frame, payload, own_address))
                sent[kind] += 1
            except OSError:
                continue  # a full queue; the next one will do
    print(json.dumps(sent))


if __name__ == "__main__":
    main()
