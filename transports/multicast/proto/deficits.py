"""What a member still needs of what it has begun with, and of what it has nothing of, as one report can say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.assembly import Assembly
from transports.multicast.proto.limits import MAX_REPORT_ENTRIES, WHOLE_CHUNK

__all__ = ["Deficits", "deficits_of"]


class Deficits(msgspec.Struct, frozen=True, kw_only=True):
    """Three columns of equal length, at most MAX_REPORT_ENTRIES."""

    chunks: NDArray[np.int64]
    blocks: NDArray[np.int64]
    """WHOLE_CHUNK where nothing of the chunk is here."""
    deficits: NDArray[np.int64]
    """Symbols the block needs; 0 for a whole chunk."""
    more: bool
    """There was more to say."""

    def __len__(self) -> int:
        return len(self.chunks)


def deficits_of(
    assemblies: Mapping[int, Assembly], whole: Sequence[int] | NDArray[np.int64], *, before: float
) -> Deficits:
    """Of `assemblies` in their order, as far as nothing came since `before`; then the chunks of `whole`."""
    chunks: list[NDArray[np.int64]] = []
    blocks: list[NDArray[np.int64]] = []
    deficits: list[NDArray[np.int64]] = []
    count = 0
    for chunk, assembly in assemblies.items():
        if count > MAX_REPORT_ENTRIES:
            break
        if assembly.touched > before:
            continue
        lacks = assembly.deficits()
        where = np.flatnonzero(lacks)
        chunks.append(np.full(len(where), chunk, dtype=np.int64))
        blocks.append(where.astype(np.int64))
        deficits.append(lacks[where].astype(np.int64))
        count += len(where)
    if len(whole) and count <= MAX_REPORT_ENTRIES:
        chunks.append(np.asarray(whole, dtype=np.int64))
        blocks.append(np.full(len(whole), WHOLE_CHUNK, dtype=np.int64))
        deficits.append(np.zeros(len(whole), dtype=np.int64))
        count += len(whole)
    chunk_column, block_column, deficit_column = (
        np.concatenate(column)[:MAX_REPORT_ENTRIES] if column else np.zeros(0, dtype=np.int64)
        for column in (chunks, blocks, deficits)
    )
    return Deficits(chunks=chunk_column, blocks=block_column, deficits=deficit_column, more=count > MAX_REPORT_ENTRIES)
