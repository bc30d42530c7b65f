"""The Cauchy code by Intel's ISA-L, where the machine has it: the same parity, an order of magnitude faster.

The library multiplies and adds whole vectors of GF(2^8) with the instructions of the processor, over the polynomial
that this code uses too (erasure_code.h of https://github.com/intel/isa-l, package libisal2 of Debian). It is loaded by
name and never needed: `find_code` takes NumPy's code without it. Calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.cauchy import (
    CauchyCode,
    check_decoding,
    check_indices,
    check_symbols,
    decodings,
    factors,
    inverse,
)
from transports.multicast.fec.code import SYMBOLS_MAX, Erased, ErasureCode

__all__ = ["LIBRARY", "IsalCode", "find_code"]

LIBRARY = "libisal.so.2"
_TABLE_BYTES = 32
"""What ISA-L wants to know of each factor."""
_ROWS_REMEMBERED_MAX = 512  # 6 KB each
_STEPS_REMEMBERED_MAX = 64  # 60 KB each, of eight parities
_ROWS_AT_A_TIME = 32
"""So many rows side by side are read as fast as one: a processor foresees no more."""
_AT_ONCE_MAX = 16
"""So many missing rows are one product of a matrix made for them; for more, making it costs more than it saves."""
_GATHER_BYTES_MAX = 1 << 20
"""A block of up to so many bytes is copied together before it is read. The library walks through all rows at once, 64
bytes of each: more rows than a processor foresees, and they are no longer in its cache. With the copy it takes half."""

_Symbols = NDArray[np.uint8]


class IsalCode:
    """See ErasureCode. One object may serve any number of threads."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """`library` is ISA-L. AttributeError if it lacks a function."""
        init_tables = library.ec_init_tables
        init_tables.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        init_tables.restype = None
        every = np.arange(SYMBOLS_MAX, dtype=np.uint8)
        self._factors = np.empty((SYMBOLS_MAX, _TABLE_BYTES), dtype=np.uint8)
        init_tables(1, SYMBOLS_MAX, every.ctypes.data, self._factors.ctypes.data)
        self._encode = library.ec_encode_data
        self._encode.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, *[ctypes.c_void_p] * 3]
        self._encode.restype = None
        self._scratch = threading.local()
        self._steps = lru_cache(maxsize=_STEPS_REMEMBERED_MAX)(self._steps_of)
        self._row = lru_cache(maxsize=_ROWS_REMEMBERED_MAX)(self._row_of)

    def encode(self, block: _Symbols, parity: Sequence[int]) -> _Symbols:
        """As ErasureCode.encode."""
        check_symbols(block)
        check_indices(len(block), parity)
        rows = np.empty((len(parity), block.shape[1]), dtype=np.uint8)
        if list(parity) == [len(block)]:  # the plain XOR, where NumPy is as fast as anybody
            np.bitwise_xor.reduce(block.view(np.uint64), axis=0, out=rows.view(np.uint64)[0])
        elif len(parity):
            self._combine(np.concatenate([self._row(len(block), index) for index in parity]), block, rows)
        return rows

    def encode_frame(self, frame: _Symbols, blocks: int, first: int, count: int) -> _Symbols:
        """As ErasureCode.encode_frame. Originals with one number lie side by side in all blocks of one k: they are one
        long row. Few rows are read at a time, which a processor foresees, and nothing is copied together."""
        check_symbols(frame[::blocks])
        least, longer = divmod(len(frame), blocks)
        most = least + (longer > 0)
        check_indices(most, range(most + first, most + first + count))
        made = np.empty((count, blocks, frame.shape[1]), dtype=np.uint8)
        for begin, end, k in ((0, longer, least + 1), (longer, blocks, least)):
            for at in range(0, count if end > begin else 0, _AT_ONCE_MAX // 2):
                some = made[at : at + _AT_ONCE_MAX // 2, begin:end]
                self._encode_long(frame, blocks, begin, k, first + at, some)
        return made

    def _encode_long(self, frame: _Symbols, blocks: int, begin: int, k: int, first: int, made: _Symbols) -> None:
        """Parity from k + `first` on of the blocks from `begin` on, as many blocks and parities as `made` has."""
        count, width, symbol = made.shape
        # what was added up so far is one of the rows that are added up next, so it cannot lie where these go
        scratch = np.empty_like(made, order="C")
        steps = self._steps(k, first, count)
        here, there = (made, scratch) if len(steps) % 2 else (scratch, made)
        rows = _places(frame[begin::blocks][:k])
        so_far = rows[:0]
        for start, tables in steps:
            sources = np.concatenate([rows[start : start + _ROWS_AT_A_TIME], so_far])
            so_far = _places(here)
            self._encode(
                width * symbol, len(sources), count, tables.ctypes.data, sources.ctypes.data, so_far.ctypes.data
            )
            here, there = there, here

    def _steps_of(self, k: int, first: int, count: int) -> list[tuple[int, NDArray[np.uint8]]]:
        """For each few originals of a block, the first and ISA-L's form of their factors in `count` parities, and, but
        for the first few, of 1 for each parity's sum so far."""
        matrix = np.stack([factors(k, k + first + number) for number in range(count)])
        so_far = np.eye(count, dtype=np.uint8)
        return [
            (
                start,
                self._tables(
                    np.hstack([matrix[:, start : start + _ROWS_AT_A_TIME], so_far if start else so_far[:, :0]])
                ),
            )
            for start in range(0, k, _ROWS_AT_A_TIME)
        ]

    def decode(self, block: _Symbols, missing: Sequence[int], parity: Sequence[int], rows: _Symbols) -> None:
        """As ErasureCode.decode."""
        check_symbols(block)
        lost = check_decoding(len(block), missing, parity, len(rows))
        if not lost:
            return
        indices = list(parity[: len(lost)])
        if indices == [len(block)]:  # all of a block and its plain XOR is zero
            block[lost] = rows[0]
            block[lost] = np.bitwise_xor.reduce(block.view(np.uint64), axis=0).view(np.uint8)
            return
        if len(lost) <= _AT_ONCE_MAX:
            found = np.empty((len(lost), block.shape[1]), dtype=np.uint8)
            sources = _places(self._gather(block))
            sources[lost] = _places(rows)[: len(lost)]
            matrix = decodings(len(block), np.array([indices]), np.array([lost]))[0]
            self._multiply(self._tables(matrix), sources, found)
            block[lost] = found
            return
        block[lost] = 0
        differences = self.encode(block, indices)
        differences ^= rows[: len(lost)]
        found = np.empty_like(differences)
        self._combine(self._tables(inverse(len(block), indices, lost)), differences, found)
        block[lost] = found

    def decode_many(self, erased: Sequence[Erased]) -> None:
        """As ErasureCode.decode_many. Matrices of blocks with as many rows and as many missing ones are made at once:
        for the one or two symbols that are usually missing it took as long as decoding."""
        alike: dict[tuple[tuple[int, ...], int], list[Erased]] = {}
        for one in erased:
            block, missing, parity = one.block, one.missing, one.parity
            check_symbols(block)
            check_decoding(len(block), missing, parity, len(missing))
            if list(parity) == [len(block)]:  # all of a block, this parity included, adds up to what is missing
                block[missing[0]] = np.bitwise_xor.reduce(block.view(np.uint64), axis=0).view(np.uint8)
            elif len(missing) > _AT_ONCE_MAX:
                self.decode(block, missing, parity, block[list(missing)])
            elif missing:
                alike.setdefault((block.shape, len(missing)), []).append(one)
        for group in alike.values():
            self._decode_alike(group)

    def _decode_alike(self, group: Sequence[Erased]) -> None:
        """Blocks of one shape of which equally many rows are parity."""
        k, lost = len(group[0].block), len(group[0].missing)
        missing = np.array([one.missing for one in group])
        tables = self._tables(decodings(k, np.array([one.parity for one in group]), missing).reshape(-1, k))
        found = np.empty((lost, group[0].block.shape[1]), dtype=np.uint8)
        for one, table in zip(group, tables.reshape(len(group), -1), strict=True):
            self._combine(table, one.block, found)
            one.block[list(one.missing)] = found

    def _row_of(self, k: int, index: int) -> NDArray[np.uint8]:
        return self._tables(factors(k, index)[None, :])

    def _tables(self, matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """ISA-L's form of a matrix of factors, one row for each result."""
        tables: NDArray[np.uint8] = self._factors.take(matrix, axis=0)
        return tables

    def _combine(self, tables: NDArray[np.uint8], block: _Symbols, rows: _Symbols) -> None:
        """Put the products of a matrix, as `tables`, with the rows of `block` into `rows`."""
        self._multiply(tables, _places(self._gather(block)), rows)

    def _gather(self, block: _Symbols) -> _Symbols:
        """The block with its rows side by side, valid until the thread's next call."""
        if block.strides[0] == block.shape[1] or block.size > _GATHER_BYTES_MAX:
            return block
        scratch: _Symbols | None = getattr(self._scratch, "memory", None)
        if scratch is None or scratch.size < block.size:
            scratch = self._scratch.memory = np.empty(block.size, dtype=np.uint8)
        rows = scratch[: block.size].reshape(block.shape)
        rows[:] = block
        return rows

    def _multiply(self, tables: NDArray[np.uint8], sources: NDArray[np.uint64], rows: _Symbols) -> None:
        """As _combine, of rows that lie at `sources`."""
        results = _places(rows)
        self._encode(
            rows.shape[1], len(sources), len(rows), tables.ctypes.data, sources.ctypes.data, results.ctypes.data
        )


@cache
def find_code() -> ErasureCode:
    """The fastest code this machine has. ISA-L is believed once it gave the same parity as NumPy's."""
    ours = CauchyCode()
    try:
        theirs = IsalCode(ctypes.CDLL(LIBRARY))
        block = (np.arange(5 * 72, dtype=np.uint32) * 151 % 251).astype(np.uint8).reshape(5, 72)
        same = np.array_equal(theirs.encode(block, [5, 9, 255]), ours.encode(block, [5, 9, 255]))
    except (OSError, AttributeError):
        return ours
    return theirs if same else ours


def _places(rows: _Symbols) -> NDArray[np.uint64]:
    """The address of each row."""
    first = rows.__array_interface__["data"][0]
    return np.arange(len(rows), dtype=np.uint64) * np.uint64(rows.strides[0]) + np.uint64(first)
