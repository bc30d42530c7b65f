"""Asking again for the hardware address of a neighbour, sooner than the system does.

Who connects to a computer of its own network asks for its address first (ARP). If the question or the answer is lost,
the kernel asks again after one second, however many connections wait for it. A program of root may ask as well, and
the kernel takes the answer like one to itself.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["ASK_AGAIN_S", "ask_again"]

ASK_AGAIN_S = 0.05
"""Between two questions: longer than any way in a network without routers takes."""
ASKED_MAX = 4
"""Neighbours asked for at a time: the one on the way, and what others on this machine happen to wait for."""
_TABLE = "/proc/thread-self/net/arp"
_ETHERTYPE_ARP = 0x0806
_ETHERNET = 1
_EVERYBODY = b"\xff" * 6
_REQUEST = bytes.fromhex("0001 0800 06 04 0001")
"""Ethernet, IPv4, lengths of their addresses, request: RFC 826."""


def ask_again() -> int:
    """Ask once for every IPv4 neighbour the kernel asks for at present; how many. 0 where that is nobody's business
    but root's."""
    asked = 0
    for address, device in _waiting()[:ASKED_MAX]:
        with contextlib.suppress(OSError):
            asked += _ask(address, device)
    return asked


def _waiting() -> list[tuple[str, str]]:
    """(address, device) of neighbours without an answer yet."""
    try:
        with open(_TABLE, encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
    except (OSError, ValueError):
        return []
    return [(row[0], row[5]) for row in rows if len(row) == 6 and row[2] == "0x0" and row[3] == "00:00:00:00:00:00"]


def _ask(address: str, device: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((address, 9))  # sends nothing
        source = way.getsockname()[0]
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.bind((device, 0))
        *_, kind, hardware = sock.getsockname()
        if kind != _ETHERNET or len(hardware) != len(_EVERYBODY):
            return False
        question = _REQUEST + hardware + socket.inet_aton(source) + bytes(6) + socket.inet_aton(address)
        sock.sendto(question, (device, _ETHERTYPE_ARP, 0, _ETHERNET, _EVERYBODY))
    return True
