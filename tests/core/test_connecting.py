"""The first packet of a connection may be lost: the second attempt does not wait for its repetition."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from core.connecting import (
    ATTEMPTS,
    RETRANSMIT_MIN_US,
    connect,
    connect_blocking,
    follow_losses,
    follow_way,
    give_up_unheard,
    packets_sent,
    plain_name,
    prompt_socket,
    repeated,
    retransmit_soon,
)
from core.errors import UsageError
from core.service import loop_factory
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart

apart = pytest.mark.skipif(not namespaces_usable(), reason="needs network namespaces")

lossy = pytest.mark.skipif(
    not namespaces_usable() or shutil.which("nft") is None, reason="needs network namespaces and nft to lose packets"
)
RULES = """
table inet loss {
    chain input {
        type filter hook input priority 0;
        tcp flags syn / syn,ack numgen inc mod %d < %d drop
    }
}
"""
REPEATED_AFTER_S = 1.0
"""When the kernel sends a lost first packet again."""


def connect_by_loop(host: str, port: int) -> socket.socket:
    async def work() -> socket.socket:
        async with asyncio.timeout(5):
            return await connect(host, port)

    return asyncio.run(work())


def connect_at_once(host: str, port: int) -> socket.socket:
    return connect_blocking(host, port, timeout_s=5)


WAYS = pytest.mark.parametrize("way", [connect_by_loop, connect_at_once])


@WAYS
def test_it_connects_and_leaves_one_connection(way: Callable[[str, int], socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, way("127.0.0.1", server.getsockname()[1]) as made:
        other, address = server.accept()
        with other:
            assert address == made.getsockname()
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()


@WAYS
def test_nobody_there_is_an_error_at_once(way: Callable[[str, int], socket.socket]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            way("127.0.0.1", nobody.getsockname()[1])


def test_no_answer_is_a_timeout_and_leaves_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        first = [socket.create_connection(address) for _ in range(1)]
        try:
            with pytest.raises(TimeoutError):
                connect_blocking(*address, timeout_s=0.5)
        finally:
            for each in first:
                each.close()


@pytest.mark.root
@lossy
@WAYS
def test_the_loss_of_a_first_packet_does_not_cost_a_second(way: Callable[[str, int], socket.socket]) -> None:
    def work() -> float:
        rules = RULES % (ATTEMPTS, ATTEMPTS - 1)
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            before = time.monotonic()
            with way("127.0.0.1", server.getsockname()[1]):
                return time.monotonic() - before

    assert run_apart(work) < REPEATED_AFTER_S


@pytest.mark.root
@apart
@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, loop_factory()])
def test_an_address_that_is_good_on_one_link_is_reached_there(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def work(port: int) -> str:
        async with asyncio.timeout(5):
            with await connect(f"fe80::17%{INTERFACE}", port) as made:
                return str(made.getpeername()[0])

    def apart_from_others() -> str:
        ip("addr", "add", "fe80::17/64", "dev", INTERFACE, "nodad")
        with (
            socket.create_server(("::", 0), family=socket.AF_INET6) as server,
            asyncio.Runner(loop_factory=make_loop) as runner,
        ):
            return runner.run(work(server.getsockname()[1]))

    assert run_apart(apart_from_others).startswith("fe80::17")


@pytest.mark.root
@apart
@pytest.mark.parametrize(("text", "zone"), [("fe80::1%lo", ""), ("fe80::1%1", ""), ("fe80::1", "lo"), ("fe80::1", "1")])
def test_a_socket_for_one_link_is_bound_to_it(text: str, zone: str) -> None:
    with prompt_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, 80, 0, 0)), zone) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"


def test_a_socket_for_a_link_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match="nolink"):
        prompt_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%nolink", 80, 0, 0)))


@pytest.mark.parametrize(
    ("host", "name"), [("10.0.0.1", b"10.0.0.1"), ("fd00::1", b"fd00::1"), ("repo", b"repo"), ("aña.es", "aña.es")]
)
def test_a_name_is_plain_unless_it_is_not_ascii(host: str, name: str | bytes) -> None:
    assert plain_name(host) == name


def test_addresses_take_turns() -> None:
    assert repeated(["a", "b"]) == ["a", "b"] * ATTEMPTS


def test_what_is_lost_is_repeated_soon_on_both_sides_where_the_kernel_can() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if not retransmit_soon(listener):
            assert tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 15)
            return
        host, port = listener.getsockname()
        with connect_blocking(host, port, timeout_s=10) as ours, listener.accept()[0] as theirs:
            floors = [sock.getsockopt(socket.IPPROTO_TCP, 45) for sock in (ours, theirs)]
            assert all(RETRANSMIT_MIN_US <= floor < 2 * RETRANSMIT_MIN_US for floor in floors)  # whole ticks


def test_who_acknowledges_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with connect_blocking(host, port, timeout_s=10) as sock:
            give_up_unheard(sock, 2.5)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500


def test_the_rate_of_a_connection_follows_its_losses_whatever_way_the_system_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with connect_blocking(host, port, timeout_s=10) as ours, listener.accept()[0] as theirs:
            usual = theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
            assert follow_losses(theirs) == usual
            assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
            ours.sendall(b"still there")
            assert theirs.recv(16) == b"still there"
            follow_way(theirs, usual)
            assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == usual


def test_a_connection_says_how_much_it_sent_and_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with connect_blocking(host, port, timeout_s=10) as ours, listener.accept()[0] as theirs:
            assert packets_sent(ours) == (0, 0)
            ours.sendall(b"once")
            assert theirs.recv(16) == b"once"
            assert packets_sent(ours) == (0, 1)
