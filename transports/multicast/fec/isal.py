"""The Cauchy code by Intel's ISA-L, where it is to be had: the same parity, an order of magnitude faster.

The library multiplies and adds whole vectors of GF(2^8) with the instructions of the processor, over the polynomial
that this code uses too (erasure_code.h of https://github.com/intel/isa-l). It comes in the wheels of pyeclib, of which
nothing else is used, or as package libisal2 of Debian. It is never needed: `find_code` takes NumPy's code without it.
Calls release the interpreter's lock, but for those that take no longer than to take it again.
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

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.cauchy import (
    CauchyCode,
    check_decoding,
    check_frame,
    check_indices,
    check_symbols,
    decoding,
    factors,
    inverse,
    inverses,
)
from transports.multicast.fec.code import SYMBOLS_MAX, ErasureCode
from transports.multicast.fec.erasures import Erasures, erasures_of, pairs_of

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
_STEPS_REMEMBERED_MAX = 64  # 70 KB each, of eight parities; 120 of twelve
_ROWS_AT_A_TIME = 16
"""So many rows side by side are read as fast as one: a processor foresees no more (Intel's take 32, AMD's 12 to 16)."""
_AT_ONCE_MAX = 16
"""So many missing rows are one product of a matrix made for them; for more, making it costs more than it saves."""
_PARITIES_AT_ONCE_MAX = 12
"""So many parities of a frame are made by one pass over it: nine so take two thirds of what eight and one take. For
more, what each step adds up is too much for a cache."""
_NARROW_BYTES = 6 * 1024
"""Rows up to so long, of a block or of few side by side, are read all at once: what they cost is mostly by the call.
Eight parities of one block so take half of the time, of four blocks two thirds."""
_TOGETHER = 4
"""A parity of all blocks costs as much as so many missing symbols cost block by block."""
_SOLVED_AT_ONCE = 128
"""So many missing symbols, or a few more, are solved for together: all of a chunk's, unless its losses are many; its
factors then take more memory than they save calls."""
_FEW_PRODUCTS = 1 << 17
"""Rows times rows times bytes of a product that keeps the interpreter's lock: some 10 us at most."""
_SCRATCH_BYTES_MAX = 1 << 20
"""Up to so much memory is kept by each thread that used a code, for what it does next: its pages are there."""
_GATHER_BYTES_MAX = _SCRATCH_BYTES_MAX
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
        # the same function, which keeps the interpreter's lock
        address = ctypes.cast(self._encode, ctypes.c_void_p).value or 0
        self._encode_few = ctypes.PYFUNCTYPE(None, *self._encode.argtypes)(address)
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
        long row. Of long ones few are read at a time, which a processor foresees; nothing is copied."""
        check_frame(frame, blocks)
        most = -(-len(frame) // blocks)
        check_indices(most, range(most + first, most + first + count))
        made = np.empty((count, blocks, frame.shape[1]), dtype=np.uint8)
        self._encode_all(
            frame, blocks, range(first, first + count), made, self._memory(_parities_at_once(count) * made[:1].size)
        )
        return made

    def _encode_all(
        self, frame: _Symbols, blocks: int, numbers: Sequence[int], made: _Symbols, scratch: _Symbols
    ) -> None:
        """Parity k + n of every block, for each n of `numbers`, into `made`: by number, block and byte. `scratch` has
        room for as many as are made at once."""
        count, symbol = len(numbers), frame.shape[1]
        least, longer = divmod(len(frame), blocks)
        # addresses are reckoned, not asked for: that took as long as half of the work
        frame_at, made_at, scratch_at = _place(frame), _place(made), _place(scratch)
        at_once = _parities_at_once(count)
        for begin, end, k in ((0, longer, least + 1), (longer, blocks, least)):
            for start in range(0, count if end > begin else 0, at_once):
                self._encode_long(
                    _Rows(frame_at + begin * frame.strides[0], k, blocks * frame.strides[0]),
                    _Rows(made_at + (start * blocks + begin) * symbol, min(at_once, count - start), blocks * symbol),
                    tuple(numbers[start : start + at_once]),
                    length=(end - begin) * symbol,
                    scratch_at=scratch_at,
                )

    def _encode_long(
        self, block: _Rows, made: _Rows, numbers: tuple[int, ...], *, length: int, scratch_at: int
    ) -> None:
        """Parity of a block and of those beside it: rows of `length` bytes."""
        at_a_time = block.count if length <= _NARROW_BYTES else _ROWS_AT_A_TIME
        count, (steps, _) = made.count, self._steps(block.count, numbers, at_a_time)
        # Sources of each step in a row of their own: sums so far, then originals. Where its sums go, the next row says;
        # what was added up so far is added up next, so it cannot lie there: it goes to and fro, at last to `made`. The
        # first step has no sums. What the last row of originals names beyond the block is not read.
        places = np.empty((len(steps) + 1, count + at_a_time), dtype=np.uint64)
        places[len(steps) % 2 :: 2, :count] = made.places()
        places[1 - len(steps) % 2 :: 2, :count] = _Rows(scratch_at, count, made.step).places()
        originals = _Rows(block.at, len(steps) * at_a_time, block.step).places()
        places[:-1, count:] = originals.reshape(len(steps), at_a_time)
        encode, row_bytes, to = self._encode, places.strides[0], _place(places)
        here = to + count * _PLACE_BYTES
        for sources, tables in steps:
            to += row_bytes
            encode(length, sources, count, tables, here, to)
            here = to

    def _steps_of(
        self, k: int, numbers: tuple[int, ...], at_a_time: int
    ) -> tuple[list[tuple[int, int]], list[NDArray[np.uint8]]]:
        """For each few originals of a block, how many sources they are with the sums so far, which there are behind the
        first few; and where ISA-L's form of the factors lies, of these sums and of them in the parity k + n of each n.
        Then what lies there."""
        matrix = np.stack([factors(k, k + number) for number in numbers])
        so_far = np.eye(len(numbers), dtype=np.uint8)
        parts = [matrix[:, start : start + at_a_time] for start in range(0, k, at_a_time)]
        parts[1:] = [np.hstack([so_far, part]) for part in parts[1:]]
        tables = [self._tables(part) for part in parts]
        return [(part.shape[1], _place(made)) for part, made in zip(parts, tables, strict=True)], tables

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
            gathered = self._gather(block)  # held until it was read
            sources = _places(gathered)
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
        check_frame(frame, blocks)
        lost = erasures_of(frame, blocks, rows, parity)
        if not len(lost):
            return
        ahead = lost.parity - lost.k
        numbers = np.bincount(ahead).nonzero()[0]
        # the last parity of a shorter block is one that a longer one does not have
        all_have = int(numbers[-1]) + -(-len(frame) // blocks) < SYMBOLS_MAX
        if all_have and len(numbers) * blocks <= _TOGETHER * len(lost):
            self._decode_together(frame, blocks, lost, numbers.tolist(), numbers.searchsorted(ahead))
            return
        for some in lost.groups(1):
            block = frame[int(lost.blocks[some.start]) :: blocks]
            self.decode(block, lost.missing[some].tolist(), lost.parity[some].tolist(), frame[lost.rows[some]])

    def _decode_together(
        self, frame: _Symbols, blocks: int, lost: Erasures, numbers: Sequence[int], which: NDArray[np.int64]
    ) -> None:
        """By the parity `numbers` of every block, made of what lies in the frame; `which` of them each entry has.

        Were there zeros where originals are missing, the difference of what is made to what came would be parity of the
        missing ones alone, and the inverse's sums of it be these. There lies what came, so what is made has parity of
        that in it, of which the inverse makes what came again: added once more, it is gone.
        """
        symbol, many = frame.shape[1], len(numbers) * blocks
        sums_bytes = _parities_at_once(len(numbers)) * blocks * symbol
        memory = self._memory((many + len(lost)) * symbol + sums_bytes)
        made = memory[: many * symbol].reshape(len(numbers), blocks, symbol)
        found = memory[many * symbol : (many + len(lost)) * symbol].reshape(len(lost), symbol)
        self._encode_all(frame, blocks, numbers, made, memory[(many + len(lost)) * symbol :])
        places = np.empty((len(lost), 2), dtype=np.int64)
        places[:, 0] = lost.rows * frame.strides[0] + _place(frame)
        places[:, 1] = (which * blocks + lost.blocks) * symbol + _place(made)
        for some in lost.groups(_SOLVED_AT_ONCE):
            self._solve(lost, some, places[some], found[some])
        frame[lost.rows] = found

    def _solve(self, lost: Erasures, some: slice, places: NDArray[np.int64], found: _Symbols) -> None:
        """The originals of `some` entries into `found`; `places` are those of what came and what was made, of each."""
        blocks = lost.blocks[some]
        pairs = pairs_of(blocks)
        # factors of what came and of what was made, in turn, as their places are
        matrix = inverses(pairs, lost.k[some], lost.parity[some], lost.missing[some]).repeat(2)
        matrix[::2] ^= pairs.first == pairs.second
        tables, results, symbol = self._tables(matrix), _places(found), found.shape[1]
        factor_bytes, table, source, result = tables.strides[0], _place(tables), _place(places), _place(results)
        for count in np.bincount(blocks).tolist():
            if not count:
                continue
            encode = self._encode_few if count * count * symbol <= _FEW_PRODUCTS else self._encode
            encode(symbol, 2 * count, count, table, source, result)
            table += 2 * count * count * factor_bytes
            source += 2 * count * _PLACE_BYTES
            result += count * _PLACE_BYTES

    def _row_of(self, k: int, index: int) -> NDArray[np.uint8]:
        return self._tables(factors(k, index)[None, :])

    def _tables(self, matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """ISA-L's form of a matrix of factors, one row for each result."""
        tables: NDArray[np.uint8] = self._factors.take(matrix, axis=0)
        return tables

    def _combine(self, tables: NDArray[np.uint8], block: _Symbols, rows: _Symbols) -> None:
        """Put the products of a matrix, as `tables`, with the rows of `block` into `rows`."""
        gathered = self._gather(block)  # held until it was read
        self._multiply(tables, _places(gathered), rows)

    def _gather(self, block: _Symbols) -> _Symbols:
        """The block with its rows side by side, valid until the thread's next call."""
        if block.strides[0] == block.shape[1] or block.size > _GATHER_BYTES_MAX:
            return block
        rows = self._memory(block.size).reshape(block.shape)
        rows[:] = block
        return rows

    def _memory(self, size: int) -> _Symbols:
        """So many bytes, valid until the thread's next call."""
        scratch: _Symbols | None = getattr(self._scratch, "memory", None)
        if scratch is None or scratch.size < size:
            scratch = np.empty(size, dtype=np.uint8)
            if size <= _SCRATCH_BYTES_MAX:
                self._scratch.memory = scratch
        return scratch[:size]

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
    return _Rows(_place(rows), len(rows), rows.strides[0]).places()


class _Rows(msgspec.Struct, frozen=True):
    """Rows that lie as far from each other."""

    at: int
    """Address of the first."""
    count: int
    step: int
    """Bytes from one to the next."""

    def places(self) -> NDArray[np.uint64]:
        """The address of each."""
        return np.arange(self.at, self.at + self.count * self.step, self.step, dtype=np.uint64)


def _parities_at_once(count: int) -> int:
    """Into how large parts `count` parities are divided, each made by a pass over the frame."""
    return -(-count // -(-count // _PARITIES_AT_ONCE_MAX)) if count else 1
