"""A proxy before the data lanes of a repository that cuts one of them: after so many frames, or within the next."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["CuttingProxy"]

HEADER_BYTES = 24
_LENGTH_AT = 20
"""docs/wire-unicast.md, 1: read here by the page, not by our own codec."""
_PATIENCE_S = 30.0


class CuttingProxy:
    """Listens on `address` at the port of the lanes and hands all on to that port of 127.0.0.1.

    `cut` arms it: of the next connection it passes so many whole frames, both directions counted together, and so many
    bytes of the one after; then both ends are cut off. Later connections pass untouched.
    """

    def __init__(self, address: str, port: int) -> None:
        self.passed = 0
        """Frames of the connection made after `cut`, or of the first."""
        self._frames: int | None = None
        self._more = 0
        self._is_next = True
        self._port = port
        self._lock = threading.Lock()
        self._listener = socket.create_server((address, port))
        self._socks = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def cut(self, frames: int, *, more: int = 0) -> None:
        """Arm it for the next connection."""
        with self._lock:
            self.passed, self._frames, self._more, self._is_next = 0, frames, more, True

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for sock in self._socks:
                _close(sock)
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    self._socks += [near, far]
                    is_counted, self._is_next = self._is_next, False
                if is_counted and self._frames == 0 and not self._more:
                    _close(near)
                    _close(far)
                    continue
                pump = self._pump_frames if is_counted else _pump
                self._run(pump, near, far)
                self._run(pump, far, near)

    def _pump_frames(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while len(header := _exactly(source, HEADER_BYTES)) == HEADER_BYTES:
                (length,) = struct.unpack_from("<I", header, _LENGTH_AT)
                frame = header + _exactly(source, length)
                with self._lock:
                    if self._frames is not None and self.passed >= self._frames:
                        sink.sendall(frame[: self._more])
                        break
                    sink.sendall(frame)
                    self.passed += 1
                    if self._frames == self.passed and not self._more:
                        break
        _close(sink)
        _close(source)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    _close(sink)
    _close(source)


def _exactly(source: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size and (piece := source.recv(size - len(pieces))):
        pieces += piece
    return bytes(pieces)


def _close(sock: socket.socket) -> None:
    """Shut down first: another thread that reads from it wakes up."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
