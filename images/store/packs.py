"""Open packs for reading: a bounded cache of file descriptors."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from images.store.paths import RepositoryPaths

__all__ = ["OPEN_PACKS_MAX", "PackFiles"]

OPEN_PACKS_MAX = 128
"""Twice what `StoredChunk.fd` promises; small beside the usual limit of 1024 descriptors."""


class PackFiles:
    """Descriptors of packs, opened when first asked for, the least recently used closed beyond the bound. Thread-safe.

    A pack that gc removed stays readable through a descriptor opened before. Pack numbers are never used twice while
    a higher one exists (gc sees to that), so a cached descriptor is never of another pack.
    """

    def __init__(self, paths: RepositoryPaths) -> None:
        self._paths = paths
        self._open: OrderedDict[int, int] = OrderedDict()
        self._guard = threading.Lock()
        self._closed = False
        self.opened = 0
        """Packs opened so far: far more than there are packs means the bound is too small."""

    def fd(self, number: int) -> int:
        """Descriptor of a pack. Raises FileNotFoundError if the pack is gone, other OSError if it cannot be read."""
        with self._guard:
            fd = self._open.get(number)
            if fd is not None:
                self._open.move_to_end(number)
                return fd
            if self._closed:
                raise ValueError("the repository is closed")
            fd = os.open(self._paths.pack(number), os.O_RDONLY | os.O_CLOEXEC)
            self.opened += 1
            self._open[number] = fd
            if len(self._open) > OPEN_PACKS_MAX:
                os.close(self._open.popitem(last=False)[1])
            return fd

    def close(self) -> None:
        """Close all; repeatable."""
        with self._guard:
            self._closed = True
            while self._open:
                os.close(self._open.popitem()[1])
