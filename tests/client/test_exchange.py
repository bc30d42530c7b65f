"""Answers in one plain form are read, whatever pieces they come in; every other is an error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.exchange import ANSWER_MAX_BYTES, HEAD_MAX_BYTES, Exchange

PATIENCE_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length: 5\r\n\r\nhello"


@pytest.fixture
def ends() -> Iterator[tuple[Exchange, socket.socket]]:
    own, other = socket.socketpair()
    own.settimeout(PATIENCE_S)
    other.settimeout(PATIENCE_S)
    exchange = Exchange(own, host="h:1", token="t")
    with own, other:
        yield exchange, other


def test_a_request_is_whole_and_says_who_asks(ends: tuple[Exchange, socket.socket]) -> None:
    exchange, other = ends
    other.sendall(OK)
    assert exchange.ask("POST", "/v1/x", b"{}") == b"hello"
    head = other.recv(1 << 16)
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\nHost: h:1\r\n")
    assert b"\r\nAuthorization: Bearer t\r\n" in head
    assert head.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")


def test_answers_follow_each_other_on_one_connection(ends: tuple[Exchange, socket.socket]) -> None:
    exchange, other = ends
    other.sendall(OK + b"HTTP/1.1 204 No Content\r\n\r\n" + OK)
    assert [exchange.ask("GET", "/") for _ in range(3)] == [b"hello", b"", b"hello"]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_the_pieces_an_answer_comes_in_do_not_matter(sizes: list[int]) -> None:
    own, other = socket.socketpair()
    with own, other:
        own.settimeout(PATIENCE_S)

        def answer() -> None:
            left = OK
            for size in sizes:
                other.sendall(left[:size])
                left = left[size:]
            other.sendall(left)

        thread = threading.Thread(target=answer)
        thread.start()
        assert Exchange(own, host="h", token="t").ask("GET", "/") == b"hello"
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK[:-1],
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (ANSWER_MAX_BYTES + 1),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"x" * (HEAD_MAX_BYTES + (1 << 17)),
        b"\xff\r\n\r\n",
    ],
)
def test_whatever_else_is_answered_is_an_error(answer: bytes, ends: tuple[Exchange, socket.socket]) -> None:
    exchange, other = ends
    other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    other.sendall(answer)
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        exchange.ask("GET", "/")


def test_silence_ends_with_the_sockets_patience_and_a_cut_at_once(ends: tuple[Exchange, socket.socket]) -> None:
    exchange, _ = ends
    exchange.sock.settimeout(0.01)
    with pytest.raises(TimeoutError):
        exchange.ask("GET", "/")
    exchange.sock.settimeout(PATIENCE_S)
    exchange.cut()
    with pytest.raises(ConnectionError):
        exchange.ask("GET", "/")
    exchange.close()
    exchange.cut()
