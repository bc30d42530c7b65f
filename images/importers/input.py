"""The bytes of a source before anything is known about them: a file, a pipe, or an object that can be read."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from core.errors import ImageFileError, NotFoundError, OgcastError, PartitionError, UsageError

__all__ = ["Input", "os_error"]


class Input:
    """Reads forward, and lets the first bytes be looked at before.

    Owns the descriptor it opened itself; standard input and given objects stay open.
    """

    def __init__(self, source: str | BinaryIO) -> None:
        self.name = source if isinstance(source, str) else str(getattr(source, "name", "stream"))
        self._ahead = b""
        self._file: BinaryIO | None = None
        self._owned = False
        self.fd: int | None = None
        """Descriptor of a path or standard input."""
        if not isinstance(source, str):
            self._file = source
        elif source == "-":
            self.name, self.fd = "standard input", 0
        else:
            self.fd, self._owned = _open(source), True
        mode = os.fstat(self.fd).st_mode if self.fd is not None else 0
        self.is_block_device = stat.S_ISBLK(mode)
        self.is_regular = stat.S_ISREG(mode)
        """Positioned reads work on `fd`."""
        if source == "-" and (self.is_block_device or self.is_regular):
            self.name = os.readlink("/proc/self/fd/0")  # what programs that want a path are given
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and source != "-"):
            self.close()
            raise ImageFileError(f"{self.name} is no image file", hint="give a block device, an image file, or -")

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end, without taking them."""
        self._ahead += self._read(size - len(self._ahead))
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        head, self._ahead = self._ahead[:size], self._ahead[size:]
        return head + self._read(size - len(head)) if len(head) < size else head

    def read_some(self, size: int) -> bytes:
        """At least one byte unless at the end, at most `size`."""
        if self._ahead:
            head, self._ahead = self._ahead[:size], self._ahead[size:]
            return head
        return self._read_once(size)

    def readinto(self, view: memoryview) -> int:
        """Fill `view`; less only at the end."""
        head = self._ahead[: len(view)]
        view[: len(head)] = head
        self._ahead = self._ahead[len(head) :]
        done = len(head)
        while done < len(view):
            try:
                if self._file is not None:
                    piece = self._read_once(len(view) - done)
                    got = len(piece)
                    view[done : done + got] = piece
                else:
                    got = os.readv(self._descriptor(), [view[done:]])
            except OSError as error:
                raise os_error(self.name, error) from None
            if not got:
                break
            done += got
        return done

    def rewound(self) -> int:
        """The descriptor at its first byte; only for `is_regular` ones."""
        fd = self._descriptor()
        os.lseek(fd, 0, os.SEEK_SET)
        self._ahead = b""
        return fd

    def close(self) -> None:
        """Close what was opened here."""
        if self._owned and self.fd is not None:
            os.close(self.fd)
            self.fd, self._owned = None, False

    def _descriptor(self) -> int:
        if self.fd is None:
            raise ValueError("no descriptor: the source is closed, or an object")
        return self.fd

    def _read(self, size: int) -> bytes:
        pieces = []
        while size > 0 and (piece := self._read_once(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _read_once(self, size: int) -> bytes:
        try:
            return self._file.read(size) if self._file is not None else os.read(self._descriptor(), size)
        except OSError as error:
            raise os_error(self.name, error) from None


def os_error(name: str, error: OSError) -> OgcastError:
    """An operating system's error about a source, for a person."""
    if isinstance(error, FileNotFoundError) and name.startswith("/dev/"):
        return PartitionError(f"no such device: {name}", hint="`lsblk` lists the disks and partitions of this machine")
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{name} does not exist")
    if isinstance(error, PermissionError):
        return UsageError(f"{name} cannot be read: permission denied", hint="run as root, or change its permissions")
    return ImageFileError(f"{name} cannot be read: {error.strerror}", hint="look at the kernel log for disk errors")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except ValueError:
        raise NotFoundError(f"not a file name: {path!a}") from None
    except OSError as error:
        raise os_error(path, error) from None
