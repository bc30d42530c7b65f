"""What one image shares with another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from images.digest_list import DigestList, first_of_each
from images.manifest import Manifest
from images.store.index import ChunkIndex

__all__ = ["DiffReport", "diff_manifests"]

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffReport:
    """Distinct chunks of the new image, by whether the old one has them too."""

    chunks_shared: int
    chunks_new: int
    raw_bytes_shared: int
    """Uncompressed bytes."""
    raw_bytes_new: int
    stored_bytes_shared: int
    """Bytes in the store: what a client that holds the old image need not fetch."""
    stored_bytes_new: int
    chunks_gone: int
    """Distinct chunks that only the old image has."""


def diff_manifests(index: ChunkIndex, old: Manifest, new: Manifest) -> DiffReport:
    """Compare two images; chunks the store does not hold count as of 0 bytes."""
    both = DigestList()
    both.extend(old.digest(chunk) for chunks in old.distinct() for chunk in chunks)
    had = len(both)
    both.extend(new.digest(chunk) for chunks in new.distinct() for chunk in chunks)
    firsts = first_of_each(both.as_array())
    added = firsts[firsts >= had]
    is_shared = np.ones(len(both) - had, dtype=np.bool_)
    is_shared[added - had] = False
    shared = np.flatnonzero(is_shared) + had
    raw_shared, stored_shared = _bytes(index, both, shared)
    raw_new, stored_new = _bytes(index, both, added)
    return DiffReport(
        chunks_shared=len(shared),
        chunks_new=len(added),
        raw_bytes_shared=raw_shared,
        raw_bytes_new=raw_new,
        stored_bytes_shared=stored_shared,
        stored_bytes_new=stored_new,
        chunks_gone=had - len(shared),
    )


def _bytes(index: ChunkIndex, digests: DigestList, positions: NDArray[np.int64]) -> tuple[int, int]:
    raw = stored = 0
    for first in range(0, len(positions), _AT_ONCE):
        for place in index.places([digests[at] for at in positions[first : first + _AT_ONCE].tolist()]):
            if place is not None:
                raw += place.raw_length
                stored += place.stored_length
    return raw, stored
