"""Connecting by TCP where packets get lost: a second attempt beside the first, instead of waiting for it.

The first packet of a connection is repeated after one second (RFC 6298), later ones after a fifth of one. Where a room
starts and one in twenty packets is lost either way, one computer in ten would be a second late. So after a little a
further attempt starts beside those under way, as RFC 8305 does for addresses of two families, and the first that
stands is taken. The other side sees connections that end at once.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time

from core.neighbours import ASK_AGAIN_S, ask_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "ATTEMPTS",
    "BESIDE_S",
    "RETRANSMIT_MIN_US",
    "connect",
    "connect_blocking",
    "follow_losses",
    "follow_way",
    "give_up_unheard",
    "packets_sent",
    "plain_name",
    "prompt_socket",
    "repeated",
    "retransmit_as_usual",
    "retransmit_soon",
]

ATTEMPTS = 3
"""To each address."""
BESIDE_S = 0.2
"""Until the next attempt starts. Longer than any way inside a campus takes."""
BESIDE_FIRST_S = 0.06
"""The same for who connects first: what its room is sent meanwhile, it is sent again. The kernel answers, however busy
the program is."""
RETRANSMIT_MIN_US = 50_000
"""Beyond the time of a way and back, after which what was not acknowledged is sent again. The kernel's least is 200 ms,
made for the internet; above the 40 ms for which Linux holds an acknowledgement back."""
ACKNOWLEDGE_MAX_US = 20_000
"""For which an acknowledgement is held back at most."""

_CONGESTION_BYTES = 16
_REPEATED, _SENT = 100, 156
"""Where tcp_info has its total_retrans and data_segs_out, linux/tcp.h."""
_TCP_RTO_MIN_US = 45
_RETRANSMIT_USUAL_US = 200_000
"""TCP_RTO_MIN of the kernel."""
_TCP_DELACK_MAX_US = 46
"""linux/tcp.h, since Linux 6.15."""


def follow_losses(sock: socket.socket) -> bytes | None:
    """Have a TCP connection send more until packets are lost (Reno), whatever way the system has: what others leave of
    a link is taken within a few round trips. BBR, which works the rate out, looks for more in one of eight. Returns the
    way it had, for `follow_way`; None where that is not allowed: nothing changes then."""
    try:
        before = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_BYTES).rstrip(b"\0")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    except OSError:
        return None
    return before


def follow_way(sock: socket.socket, way: bytes) -> None:
    """Have a TCP connection find its rate by a way that it had before. Raises OSError where that is not allowed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, way)


def packets_sent(sock: socket.socket) -> tuple[int, int]:
    """Packets that a TCP connection repeated, and sent in all; nothing on a kernel older than these figures. Raises
    OSError."""
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SENT + 4)
    if len(told) < _SENT + 4:
        return 0, 0
    return struct.unpack_from("=I", told, _REPEATED)[0], struct.unpack_from("=I", told, _SENT)[0]


def retransmit_soon(sock: socket.socket) -> bool:
    """Have lost packets of a TCP connection repeated as a local network allows; a listening socket passes it on to
    those it accepts. False where the kernel is older: then it takes a fifth of a second."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MIN_US, RETRANSMIT_MIN_US)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_DELACK_MAX_US, ACKNOWLEDGE_MAX_US)
    except OSError:
        return False
    return True


def retransmit_as_usual(sock: socket.socket) -> None:
    """Undo that of the sending side: after a rest of this length a connection begins anew, so that on a way that loses
    little the kernel's fifth of a second costs less. Harmless where the kernel does not know it."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MIN_US, _RETRANSMIT_USUAL_US)


def give_up_unheard(sock: socket.socket, within_s: float) -> None:
    """Have a TCP connection end when what was said is not acknowledged for so long: a machine or a switch that lost its
    power says goodbye to nobody, and the kernel would go on trying for a quarter of an hour. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(within_s * 1000))


def repeated(addresses: Sequence[Any]) -> list[Any]:
    """Every address as often as it is tried, in turn."""
    return [*addresses] * ATTEMPTS


def prompt_socket(found: Any, zone: str = "") -> socket.socket:
    """A socket to connect to an address as getaddrinfo found it, its lost packets repeated soon; the caller owns it.

    One for an address that is good on one link alone (fe80::…%eth0) is bound to that link, its `zone`, which otherwise
    the address tells: uvloop drops it from addresses, and the kernel does not look for them on all links. Raises
    OSError, UsageError if there is no such link.
    """
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        retransmit_soon(sock)
        if zone := zone or str(address[0]).partition("%")[2]:
            from core.netif import bind_to_interface  # hardly anybody's repository is there

            bind_to_interface(sock, socket.if_indextoname(int(zone)) if zone.isdecimal() else zone)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(host: str, port: int) -> socket.socket:
    """A connected socket that does not block; the caller owns it. Raises OSError. Bounded by the caller's timeout."""
    import asyncio  # an eighth of the time until a client's session is open early, which needs no event loop

    from aiohappyeyeballs import start_connection

    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    zone = host.partition("%")[2]
    return await start_connection(
        repeated(found), happy_eyeballs_delay=BESIDE_S, socket_factory=lambda address: prompt_socket(address, zone)
    )


def plain_name(host: str) -> str | bytes:
    """`host` as the system and TLS take it without the rules for names beyond ASCII, whose tables take 2 ms to load."""
    return host.encode("ascii") if host.isascii() else host


def connect_blocking(host: str, port: int, *, timeout_s: float) -> socket.socket:
    """A connected socket that blocks for at most `timeout_s` at a time. Raises OSError, TimeoutError among them.

    For who connects first: where nobody answers soon, the address of the next computer on the way is asked for again.
    Without an event loop, for those who cannot wait for one to be imported.
    """
    left = repeated(socket.getaddrinfo(plain_name(host), port, type=socket.SOCK_STREAM))
    until = time.monotonic() + timeout_s
    waiting: dict[int, socket.socket] = {}
    poll = select.poll()
    attempt_at = time.monotonic()
    error: OSError = TimeoutError(f"no answer within {timeout_s:g} s")
    with contextlib.ExitStack() as stack:
        while left or waiting:
            now = time.monotonic()
            if now >= until:
                raise error
            if left and (now >= attempt_at or not waiting):
                attempt_at = now + BESIDE_FIRST_S
                family, kind, protocol, _, address = left.pop(0)
                sock = stack.enter_context(socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol))
                with contextlib.suppress(BlockingIOError):
                    sock.connect(address)
                waiting[sock.fileno()] = sock
                poll.register(sock, select.POLLOUT)
            found = poll.poll(min(ASK_AGAIN_S, until - now) * 1000)
            if not found:
                ask_again()
            for number, _ in found:
                sock = waiting.pop(number)
                poll.unregister(number)
                if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    error = OSError(code, f"{host} port {port}")
                    continue
                duplicate = sock.dup()
                retransmit_soon(duplicate)
                duplicate.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                )  # the last of a handshake, then a request
                duplicate.settimeout(timeout_s)
                return duplicate
    raise error
