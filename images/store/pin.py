"""Pinned manifest: an image version that a session uses, kept whole through removal and gc."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType
from typing import Self

from core.errors import NotFoundError
from core.ids import ImageRef
from images.manifest import Manifest
from images.store.catalogue import Catalogue, read_manifest
from images.store.disk import disk_errors

__all__ = ["PinnedManifest", "pin"]

_ATTEMPTS_MAX = 10
"""Versions that may come and go between looking one up and locking it."""


class PinnedManifest:
    """A manifest under a shared flock. While it is held, in any process, gc keeps its chunks, even after `rm`."""

    def __init__(self, fd: int, manifest: Manifest) -> None:
        self._fd = fd
        self.manifest = manifest

    @property
    def data(self) -> bytes:
        """The exact bytes of the manifest file."""
        return self.manifest.data

    def close(self) -> None:
        """Let go; repeatable."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pin(catalogue: Catalogue, ref: ImageRef) -> PinnedManifest:
    """Pin the version `ref` names. Raises NotFoundError, or ManifestError when its file is damaged."""
    for _ in range(_ATTEMPTS_MAX):
        entry = catalogue.find(ref)
        with disk_errors(f"opening {entry.ref}"):
            try:
                fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.fstat(fd).st_nlink == 0:  # gc deleted it before the lock was there
                os.close(fd)
                continue
            with disk_errors(f"reading the manifest of {entry.ref}"):
                return PinnedManifest(fd, read_manifest(fd, entry.ref))
        except BaseException:
            os.close(fd)
            raise
    raise NotFoundError(f"{ref} is being removed")
