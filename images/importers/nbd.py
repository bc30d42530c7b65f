"""The few messages of the NBD protocol that reading an export over a UNIX socket takes.

Source: the NBD protocol document of the NetworkBlockDevice project ("newstyle" negotiation, simple replies).
"""

from __future__ import annotations

import queue
import socket
import struct

from core.errors import ImageFileError

__all__ = ["CONNECTIONS_MAX", "NbdExport"]

CONNECTIONS_MAX = 4
"""Connections, and so reads in flight; qemu-nbd is told the same number."""
_READ_BYTES_MAX = 16 * 1024 * 1024  # half of what the protocol lets a server refuse

_GREETING = struct.Struct(">QQH")
_NBD_MAGIC = 0x4E42444D41474943
_OPTION_MAGIC = 0x49484156454F5054
_FIXED_NEWSTYLE_NO_ZEROES = 3
_OPTION_EXPORT_NAME = struct.Struct(">IQII")
_EXPORT = struct.Struct(">QH")
_REQUEST = struct.Struct(">IHHQQI")
_REQUEST_MAGIC = 0x25609513
_READ, _DISCONNECT = 0, 2
_REPLY = struct.Struct(">IIQ")
_REPLY_MAGIC = 0x67446698


class NbdExport:
    """A read-only export. `read` is thread-safe; at most CONNECTIONS_MAX run at once, others wait."""

    def __init__(self, path: str, *, timeout_s: float) -> None:
        """Connect; raises OSError (nobody listens yet) or ImageFileError (whoever listens speaks no NBD)."""
        self._path = path
        self._timeout_s = timeout_s
        self._free: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        first, self.size = self._connect()
        self._free.put(first)
        for _ in range(CONNECTIONS_MAX - 1):
            self._free.put(None)  # connected when first needed

    def read(self, offset: int, view: memoryview) -> None:
        """Fill `view` from `offset`. Raises ImageFileError if the server cannot read there, or is gone."""
        connection = self._free.get()
        try:
            connection = connection or self._connect()[0]
            for at in range(0, len(view), _READ_BYTES_MAX):
                _read(connection, offset + at, view[at : at + _READ_BYTES_MAX])
        except (OSError, ImageFileError) as error:
            if connection is not None:
                connection.close()
            connection = None
            if isinstance(error, ImageFileError):
                raise
            raise ImageFileError(f"qemu-nbd went away: {error}") from None
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Disconnect; only when no read is running."""
        for _ in range(CONNECTIONS_MAX):
            connection = self._free.get()
            if connection is not None:
                try:
                    connection.sendall(_REQUEST.pack(_REQUEST_MAGIC, 0, _DISCONNECT, 0, 0, 0))
                except OSError:
                    pass  # it is gone already
                finally:
                    connection.close()
            self._free.put(None)

    def _connect(self) -> tuple[socket.socket, int]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout_s)
            connection.connect(self._path)
            magic, option_magic, _ = _GREETING.unpack(_exactly(connection, _GREETING.size))
            if magic != _NBD_MAGIC or option_magic != _OPTION_MAGIC:
                raise ImageFileError("qemu-nbd greeted in an unknown way")
            connection.sendall(
                struct.pack(">I", _FIXED_NEWSTYLE_NO_ZEROES) + _OPTION_EXPORT_NAME.pack(1, _OPTION_MAGIC, 1, 0)[4:]
            )
            size, _ = _EXPORT.unpack(_exactly(connection, _EXPORT.size))
        except BaseException:
            connection.close()
            raise
        return connection, size


def _read(connection: socket.socket, offset: int, view: memoryview) -> None:
    connection.sendall(_REQUEST.pack(_REQUEST_MAGIC, 0, _READ, offset, offset, len(view)))
    magic, error, cookie = _REPLY.unpack(_exactly(connection, _REPLY.size))
    if magic != _REPLY_MAGIC or cookie != offset:
        raise ImageFileError("qemu-nbd answered in an unknown way")
    if error:
        raise ImageFileError(f"the image cannot be read at byte {offset}: it is damaged", hint="try qemu-img check")
    _fill(connection, view)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    _fill(connection, memoryview(data))
    return bytes(data)


def _fill(connection: socket.socket, view: memoryview) -> None:
    while view:
        got = connection.recv_into(view)
        if not got:
            raise ImageFileError("qemu-nbd went away")
        view = view[got:]
