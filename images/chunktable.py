"""Chunk table of a manifest: which slots are chunks, and the digest of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import ManifestError
from core.ids import Digest
from images.codec import CHUNK_SIZE_MAX, CHUNK_SIZE_MIN
from images.digest import DIGEST_BYTES

__all__ = ["CHUNK_RECORD", "CHUNK_RECORD_BYTES", "check_chunk_size", "encode_table", "parse_table"]

CHUNK_RECORD = np.dtype([("slot", "<u8"), ("digest", f"V{DIGEST_BYTES}")])
CHUNK_RECORD_BYTES = CHUNK_RECORD.itemsize


def check_chunk_size(chunk_size: int) -> None:
    """Raise ManifestError unless `chunk_size` is a power of two within the format's bounds."""
    if not CHUNK_SIZE_MIN <= chunk_size <= CHUNK_SIZE_MAX or chunk_size & (chunk_size - 1):
        raise ManifestError(
            f"chunk size of {chunk_size} bytes", hint=f"a power of two from {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX}"
        )


def encode_table(slots: NDArray[np.int64], digests: Sequence[Digest]) -> bytes:
    """The records of docs/image-format.md 2; one digest for each slot, in slot order."""
    joined = bytearray()
    for digest in digests:  # b"".join would hold an object for each at once
        joined += digest
    if len(digests) != len(slots) or len(joined) != len(slots) * DIGEST_BYTES:
        raise ManifestError(f"{len(digests)} digests for the {len(slots)} chunks of the image")
    table = np.empty(len(slots), dtype=CHUNK_RECORD)
    table["slot"] = slots
    table["digest"] = np.frombuffer(joined, dtype=f"V{DIGEST_BYTES}")
    return table.tobytes()


def parse_table(data: bytes, offset: int, count: int, slots: NDArray[np.int64]) -> NDArray[np.void]:
    """A read-only view of the `count` records at `offset` of `data`.

    Raises ManifestError unless they name exactly `slots`, the slots that hold DATA, in rising order.
    """
    if count != len(slots):
        raise ManifestError(f"chunk table of {count} chunks where the extents have {len(slots)}")
    table: NDArray[np.void] = np.frombuffer(data, dtype=CHUNK_RECORD, count=count, offset=offset)
    wrong = np.flatnonzero(table["slot"] != slots.astype(np.uint64))
    if len(wrong):
        raise ManifestError(f"chunk {int(wrong[0])} is not in the slot its DATA extent is in")
    return table
