"""Maps of used blocks: runs out of a bitmap that arrives in pieces, and a bitmap out of runs.

A 20 TiB device has 640 MiB of bitmap, so neither side ever holds it whole: pieces go in, runs come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from images.partclone.header import BitmapMode

__all__ = ["BITMAP_PIECE_BYTES", "Run", "bitmap_bytes", "encode_bits", "runs_of"]

BITMAP_PIECE_BYTES = 64 * 1024
"""Bitmap looked at in one go: 512 Ki blocks, about 5 MiB of temporary arrays at worst."""

Run = tuple[int, int, bool]
"""First block, number of blocks, used or not."""


def bitmap_bytes(mode: BitmapMode, total_blocks: int) -> int:
    """Bytes of the map itself, without what closes it."""
    match mode:
        case BitmapMode.NONE:
            return 0
        case BitmapMode.BITS:
            return (total_blocks + 7) // 8
        case BitmapMode.BYTES:
            return total_blocks


def runs_of(pieces: Iterable[bytes], mode: BitmapMode, total_blocks: int) -> Iterator[Run]:
    """Runs of equal blocks in order, covering [0, total_blocks); neighbours differ.

    `pieces` are consecutive parts of the map, of any length and `bitmap_bytes` together. Only the bytes 1 count as
    used in a map of bytes (partclone reads it so); padding bits after the last block are ignored.
    """
    if mode is BitmapMode.NONE:
        if total_blocks:
            yield 0, total_blocks, True
        return
    done = start = 0
    current: bool | None = None
    for piece in pieces:
        flags = _flags(piece, mode)[: total_blocks - done]
        if not len(flags):
            continue
        if current is None:
            current = bool(flags[0])
        elif bool(flags[0]) != current:
            yield start, done - start, current
            start, current = done, not current
        for edge in (np.flatnonzero(flags[1:] != flags[:-1]) + 1 + done).tolist():
            yield start, edge - start, current
            start, current = edge, not current
        done += len(flags)
    if current is not None:
        yield start, done - start, current


def encode_bits(used_runs: Iterable[tuple[int, int]], total_blocks: int) -> Iterator[bytes]:
    """The map of bits, in pieces, of rising runs (first block, blocks) of used blocks that do not overlap."""
    blocks_a_piece = BITMAP_PIECE_BYTES * 8
    runs = iter(used_runs)
    run = next(runs, None)
    for base in range(0, total_blocks, blocks_a_piece):
        stop = min(base + blocks_a_piece, total_blocks)
        flags = np.zeros(stop - base, dtype=np.bool_)
        while run is not None and run[0] < stop:
            flags[max(run[0], base) - base : min(run[0] + run[1], stop) - base] = True
            if run[0] + run[1] > stop:
                break
            run = next(runs, None)
        yield np.packbits(flags, bitorder="little").tobytes()


def _flags(piece: bytes, mode: BitmapMode) -> NDArray[np.bool_]:
    octets = np.frombuffer(piece, dtype=np.uint8)
    flags = octets if mode is BitmapMode.BYTES else np.unpackbits(octets, bitorder="little")
    return np.equal(flags, 1)
