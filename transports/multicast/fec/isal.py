"""The Cauchy code by Intel's ISA-L, where it is to be had: the same parity, an order of magnitude faster.

The library multiplies and adds whole vectors of GF(2^8) with the instructions of the processor, over the polynomial
that this code uses too (erasure_code.h of https://github.com/intel/isa-l). It comes in the wheels of pyeclib, of which
nothing else is used, or as package libisal2 of Debian. It is never needed: `find_code` takes NumPy's code without it.
Calls release the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.cauchy import (
    CauchyCode,
    check_decoding,
    check_indices,
    check_symbols,
    decoding,
    factors,
    inverse,
    inverses,
)
from transports.multicast.fec.code import SYMBOLS_MAX, ErasureCode
from transports.multicast.fec.erasures import Erasures, erasures_of

__all__ = ["LIBRARY", "IsalCode", "candidates", "find_code"]

LIBRARY = "libisal.so.2"
"""As the system names it."""
_WHEEL, _WHEEL_LIBRARIES, _WHEEL_LIBRARY = "pyeclib", "pyeclib.libs", "libisal"
"""The wheel that brings it, and where: beside the package, as auditwheel puts libraries."""
_TABLE_BYTES, _MATRIX_BYTES = 32, 8
"""What ISA-L wants to know of each factor: its products with all halves of bytes, or in 2.31, where the processor
multiplies by matrices of bits (GFNI), its matrix alone; 2.32 leaves room for the products beside it."""
_UNTOUCHED = 0xA5
_PLACE_BYTES = 8
_ROWS_REMEMBERED_MAX = 512  # 6 KB each
_STEPS_REMEMBERED_MAX = 64  # 60 KB each, of eight parities
_ROWS_AT_A_TIME = 16
"""So many rows side by side are read as fast as one: a processor foresees no more (Intel's take 32, AMD's 12 to 16)."""
_AT_ONCE_MAX = 16
"""So many missing rows are one product of a matrix made for them; for more, making it costs more than it saves."""
_TOGETHER = 4
"""A parity of all blocks costs as much as so many missing symbols cost block by block."""
_SOLVED_AT_ONCE = 32
"""So many missing symbols, of several blocks, are one product of a matrix: most of it is zero, but calls are few."""
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
        room = np.full(SYMBOLS_MAX * _TABLE_BYTES, _UNTOUCHED, dtype=np.uint8)
        init_tables(1, 1, every.ctypes.data, room.ctypes.data)
        size = _MATRIX_BYTES if (room[_MATRIX_BYTES:_TABLE_BYTES] == _UNTOUCHED).all() else _TABLE_BYTES
        init_tables(1, SYMBOLS_MAX, every.ctypes.data, room.ctypes.data)
        self._factors = room[: SYMBOLS_MAX * size].reshape(SYMBOLS_MAX, size)
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
        most = -(-len(frame) // blocks)
        check_indices(most, range(most + first, most + first + count))
        return self._encode_all(frame, blocks, range(first, first + count))

    def _encode_all(self, frame: _Symbols, blocks: int, numbers: Sequence[int]) -> _Symbols:
        """Parity k + n of every block, for each n of `numbers`."""
        made = np.empty((len(numbers), blocks, frame.shape[1]), dtype=np.uint8)
        least, longer = divmod(len(frame), blocks)
        for begin, end, k in ((0, longer, least + 1), (longer, blocks, least)):
            for at in range(0, len(numbers) if end > begin else 0, _AT_ONCE_MAX // 2):
                some = slice(at, at + _AT_ONCE_MAX // 2)
                self._encode_long(frame[begin::blocks][:k], k, tuple(numbers[some]), made[some, begin:end])
        return made

    def _encode_long(self, block: _Symbols, k: int, numbers: tuple[int, ...], made: _Symbols) -> None:
        """Parity of the block and of those beside it, as many as `made` has, whose rows lie behind those of `block`."""
        count, width, symbol = made.shape
        length, steps = width * symbol, self._steps(k, numbers)
        # what was added up so far is one of the rows that are added up next, so it cannot lie where these go
        scratch = np.empty_like(made, order="C")
        results = np.stack([_places(scratch), _places(made)])
        first = len(steps) % 2  # so that the last sums are in `made`
        # Sources of each step in a row of their own: sums so far, then originals. The first step has no sums.
        sources = np.empty((len(steps), count + _ROWS_AT_A_TIME), dtype=np.uint64)
        sources[1 - first :: 2, :count], sources[first::2, :count] = results[0], results[1]
        rows, whole = _places(block), k // _ROWS_AT_A_TIME
        sources[:whole, count:] = rows[: whole * _ROWS_AT_A_TIME].reshape(whole, _ROWS_AT_A_TIME)
        sources[whole:, count : count + k % _ROWS_AT_A_TIME] = rows[whole * _ROWS_AT_A_TIME :]
        # addresses are reckoned, not asked for: that took as long as half of the work
        at, to, step_bytes = _place(sources), _place(results), sources.strides[0]
        places = (to, to + results.strides[0])
        passed = count
        for number, (added, _, tables) in enumerate(steps):
            here = at + number * step_bytes + passed * _PLACE_BYTES
            self._encode(length, added + count - passed, count, tables, here, places[(first + number) % 2])
            passed = 0

    def _steps_of(self, k: int, numbers: tuple[int, ...]) -> list[tuple[int, NDArray[np.uint8], int]]:
        """For each few originals of a block, how many they are, and ISA-L's form of the factors of each parity's sum so
        far, but for the first few, and of theirs in the parity k + n of each n; and where that lies."""
        matrix = np.stack([factors(k, k + number) for number in numbers])
        so_far = np.eye(len(numbers), dtype=np.uint8)
        steps = []
        for start in range(0, k, _ROWS_AT_A_TIME):
            some = matrix[:, start : start + _ROWS_AT_A_TIME]
            tables = self._tables(np.hstack([so_far, some]) if start else some)
            steps.append((some.shape[1], tables, _place(tables)))
        return steps

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
            self._multiply(self._tables(decoding(len(block), indices, lost)), sources, found)
            block[lost] = found
            return
        block[lost] = 0
        differences = self.encode(block, indices)
        differences ^= rows[: len(lost)]
        found = np.empty_like(differences)
        self._combine(self._tables(inverse(len(block), indices, lost)), differences, found)
        block[lost] = found

    def decode_frame(
        self, frame: _Symbols, blocks: int, rows: NDArray[np.integer], parity: NDArray[np.integer]
    ) -> None:
        """As ErasureCode.decode_frame. Where most blocks lack something, what they lack is computed of all together:
        a frame that is read from front to back takes a third of the time that its blocks take one by one."""
        check_symbols(frame[::blocks])
        lost = erasures_of(frame, blocks, rows, parity)
        numbers = sorted(set((lost.parity - lost.k).tolist()))
        # the last parity of a shorter block is one that a longer one does not have
        all_have = not numbers or numbers[-1] + -(-len(frame) // blocks) < SYMBOLS_MAX
        if all_have and len(numbers) * blocks <= _TOGETHER * len(lost):
            self._decode_together(frame, blocks, lost, numbers)
            return
        for some in lost.groups(1):
            block = frame[int(lost.blocks[some.start]) :: blocks]
            self.decode(block, lost.missing[some].tolist(), lost.parity[some].tolist(), frame[lost.rows[some]])

    def _decode_together(self, frame: _Symbols, blocks: int, lost: Erasures, numbers: Sequence[int]) -> None:
        """By the parity `numbers` of every block, made with zeros where originals are missing: its difference to what
        came is parity of the missing ones alone."""
        came = frame[lost.rows]
        frame[lost.rows] = 0
        made = self._encode_all(frame, blocks, numbers)
        came ^= made[np.searchsorted(numbers, lost.parity - lost.k), lost.blocks]
        found = np.empty_like(came)
        for some in lost.groups(_SOLVED_AT_ONCE):
            matrix = inverses(lost.k[some], lost.blocks[some], lost.parity[some], lost.missing[some])
            self._multiply(self._tables(matrix), _places(came[some]), found[some])
        frame[lost.rows] = found

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
        self._encode(rows.shape[1], len(sources), len(rows), _place(tables), _place(sources), _place(results))


@cache
def find_code() -> ErasureCode:
    """The fastest code this machine has. ISA-L is believed once it gave the same parity as NumPy's."""
    ours = CauchyCode()
    block = (np.arange(5 * 72, dtype=np.uint32) * 151 % 251).astype(np.uint8).reshape(5, 72)
    for name in candidates():
        with contextlib.suppress(OSError, AttributeError):
            theirs = IsalCode(ctypes.CDLL(name))
            if np.array_equal(theirs.encode(block, [5, 9, 255]), ours.encode(block, [5, 9, 255])):
                return theirs
    return ours


def candidates() -> list[str]:
    """What may load, the best first: the wheel's is newer than that of most systems, and has GFNI (since 2.31)."""
    names = [LIBRARY]
    found = importlib.util.find_spec(_WHEEL)  # nothing of it is run
    if found is not None and found.origin is not None:
        folder = os.path.join(os.path.dirname(os.path.dirname(found.origin)), _WHEEL_LIBRARIES)
        with contextlib.suppress(OSError):
            inside = sorted(name for name in os.listdir(folder) if name.startswith(_WHEEL_LIBRARY))
            names = [*(os.path.join(folder, name) for name in inside), *names]
    return names


def _place(memory: NDArray[Any]) -> int:
    """The address of what must be held until the library has used it; `ndarray.ctypes` takes three times as long."""
    address: int = memory.__array_interface__["data"][0]
    return address


def _places(rows: _Symbols) -> NDArray[np.uint64]:
    """The address of each row."""
    return np.arange(len(rows), dtype=np.uint64) * np.uint64(rows.strides[0]) + np.uint64(_place(rows))
