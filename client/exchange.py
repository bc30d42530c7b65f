"""Requests of one connection, one after another: as much of HTTP/1.1 as repod's short answers need.

http.client, which knows the rest, imports what reads electronic mail: a quarter of the time until a client's session is
open early. Every answer that is not of the one form understood here, with its length said, is an error, upon which the
command asks by its real HTTP client.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["ANSWER_MAX_BYTES", "HEAD_MAX_BYTES", "Exchange"]

ANSWER_MAX_BYTES = 8 << 20
"""A manifest of 2^17 chunks fits; the command asks for a longer one itself."""
HEAD_MAX_BYTES = 32 << 10
READ_BYTES = 64 << 10

_END = b"\r\n\r\n"


class Exchange:
    """Owns its connected socket. For one thread; only `cut` may come from another."""

    def __init__(self, sock: socket.socket, *, host: str, token: str) -> None:
        """`sock` blocks, for as long as its timeout says."""
        self.sock = sock
        self._host = host
        self._token = token
        self._held = b""

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer. Raises TimeoutError, or ConnectionError for a refusal or a strange answer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body or b'')}\r\n\r\n"
        )
        # in one piece: a packet fewer that can be lost
        self.sock.sendall(head.encode("ascii") + (body or b""))
        held = self._held
        while (end := held.find(_END)) < 0:
            if len(held) > HEAD_MAX_BYTES:
                raise ConnectionError("an answer without an end of its head")
            held += self._read()
        length = _length(held[:end])
        parts = [held[end + len(_END) :]]
        missing = length - len(parts[0])
        while missing > 0:
            parts.append(self._read())
            missing -= len(parts[-1])
        data = b"".join(parts)
        self._held = data[length:]
        return data[:length]

    def cut(self) -> None:
        """End what is being asked for: `ask` raises."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up; harmless when repeated."""
        self.sock.close()

    def _read(self) -> bytes:
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the repository hung up")
        return data


def _length(head: bytes) -> int:
    """Of the body that follows a head of status 2xx."""
    status, *lines = head.decode("latin-1").split("\r\n")
    words = status.split(" ", 2)
    if len(words) < 2 or words[0] != "HTTP/1.1" or len(words[1]) != 3 or words[1][0] != "2":
        raise ConnectionError(f"answered {status[:64]!a}")
    if words[1] == "204":
        return 0
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    said = fields.get("content-length", "")
    if "transfer-encoding" in fields or "content-encoding" in fields or not (said.isascii() and said.isdigit()):
        raise ConnectionError("an answer whose length is not said")
    if len(said) > 9 or int(said) > ANSWER_MAX_BYTES:
        raise ConnectionError(f"an answer of {said[:16]} bytes")
    return int(said)
