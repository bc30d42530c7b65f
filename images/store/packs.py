"""Open packs for reading: a bounded cache of file descriptors."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque

from images.store.paths import RepositoryPaths

__all__ = ["OPEN_PACKS_MAX", "REPLACED_PACKS_MAX", "PackFiles"]

OPEN_PACKS_MAX = 128
"""Twice what `StoredChunk.fd` promises; small beside the usual limit of 1024 descriptors."""
REPLACED_PACKS_MAX = 64
"""Descriptors of files that another one took the place of, kept as long as `StoredChunk.fd` promises."""


class PackFiles:
    """Descriptors of packs, opened when first asked for, the least recently used closed beyond the bound. Thread-safe.

    A pack that gc removed stays readable through a descriptor opened before. Pack numbers are never used twice while
    a higher one exists (gc sees to that), so a cached descriptor is never of another pack. It may be of another file
    of the same pack, once a backup was put in its place: the one with the name counts.
    """

    def __init__(self, paths: RepositoryPaths) -> None:
        self._paths = paths
        self._open: OrderedDict[int, int] = OrderedDict()
        self._replaced: deque[int] = deque()
        self._guard = threading.Lock()
        self._closed = False
        self.opened = 0
        """Packs opened so far: far more than there are packs means the bound is too small."""

    def fd(self, number: int) -> int:
        """Descriptor of a pack. Raises FileNotFoundError if the pack is gone, other OSError if it cannot be read."""
        with self._guard:
            fd = self._open.get(number)
            if fd is not None and not self._is_replaced(number, fd):
                self._open.move_to_end(number)
                return fd
            if self._closed:
                raise ValueError("the repository is closed")
            new = os.open(self._paths.pack(number), os.O_RDONLY | os.O_CLOEXEC)
            self.opened += 1
            if fd is not None:
                self._set_aside(fd)
            self._open[number] = new
            self._open.move_to_end(number)
            if len(self._open) > OPEN_PACKS_MAX:
                os.close(self._open.popitem(last=False)[1])
            return new

    def close(self) -> None:
        """Close all; repeatable."""
        with self._guard:
            self._closed = True
            while self._open:
                os.close(self._open.popitem()[1])
            while self._replaced:
                os.close(self._replaced.popleft())

    def _is_replaced(self, number: int, fd: int) -> bool:
        try:
            return not os.path.samestat(os.stat(self._paths.pack(number)), os.fstat(fd))
        except OSError:  # removed, or out of reach just now: what is open still reads
            return False

    def _set_aside(self, fd: int) -> None:
        """Close a descriptor later: somebody may be about to read through it."""
        self._replaced.append(fd)
        if len(self._replaced) > REPLACED_PACKS_MAX:
            os.close(self._replaced.popleft())
