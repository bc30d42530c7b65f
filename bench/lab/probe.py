"""Packets from one host of the lab to others: what a rig's loss and rate really are, without any tool of ours in it.

`python -m bench.lab.probe send ADDRESS PACKETS`, `python -m bench.lab.probe receive ADDRESS`; a receiver prints `ready`
when its socket is open, and packets, bytes and seconds between first and last as JSON once nothing came for a while.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
import time

__all__ = ["PACKET_BYTES", "PORT", "READY", "receive", "send"]

PORT = 7000
READY = "ready"
PACKET_BYTES = 1472
"""Payload: 1500 bytes with IP and UDP headers, 1514 on the cable."""
TRAIN_PACKETS = 44
SILENCE_S = 0.7
PATIENCE_S = 3.0
BUFFER_BYTES = 16 << 20
_UDP_SEGMENT = 103
_SO_RCVBUFFORCE = 33


def send(address: str, packets: int) -> int:
    """Send `packets` as fast as the link takes them, in trains; returns how many."""
    payload = bytes(PACKET_BYTES) * TRAIN_PACKETS
    segment = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("H", PACKET_BYTES))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        sent = 0
        while sent < packets:
            train = min(TRAIN_PACKETS, packets - sent)
            out.sendmsg([payload[: train * PACKET_BYTES]], segment, 0, (address, PORT))
            sent += train
    return sent


def receive(address: str) -> dict[str, float]:
    """Count what comes for `address` (a group is joined) until there is silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet:
        inlet.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        inlet.bind((address, PORT))
        if ipaddress.ip_address(address).is_multicast:
            inlet.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(address) + bytes(4))
        print(READY, flush=True)
        inlet.settimeout(PATIENCE_S)
        first = last = 0.0
        packets = count = 0
        try:
            while True:
                count += len(inlet.recv(2048))
                last = time.monotonic()
                if not packets:
                    first = last
                    inlet.settimeout(SILENCE_S)
                packets += 1
        except TimeoutError:
            pass
    return {"packets": packets, "bytes": count, "seconds": last - first}


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(receive(sys.argv[2])))
