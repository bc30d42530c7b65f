"""Cauchy code whose inner loop is nothing but XOR of whole symbols, in NumPy.

Parity i of a block of k originals is the sum over j of c(i, j) times original j, with

    c(i, j) = (k + j) / (i + j)        in GF(2^8), where + is XOR; k <= i <= 255, 0 <= j < k

which is a Cauchy matrix 1 / (x_i + y_j) with x_i = i and y_j = j, all different, and column j scaled by k + j. Scaling
keeps every square submatrix regular, hence any k symbols rebuild the block, and it makes the first parity row all ones:
parity k is the plain XOR of the originals, the one row most repairs need.

Multiplying every byte by a constant is replaced by XOR (the idea of Bloemer et al., An XOR-Based Erasure-Resilient
Coding Scheme, ICSI TR-95-048, turned by 90 degrees): with c(i, j) written as bits c_0 to c_7,

    parity i = sum over t of x^t * (XOR of the originals j that have bit t of c(i, j) set)

so a row costs eight XOR-reductions over half of the symbols each, full width, and seven multiplications of one symbol
by a constant at the end. Rows of a block are read where they lie; nothing is transposed.

To decode, the missing rows are set to zero and parity is computed again: its difference to the parity received is the
same code of the missing originals alone. That small Cauchy system has an inverse in closed form (Knuth, TAOCP 1,
1.2.3, exercise 41).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import SYMBOL_ALIGN_BYTES, SYMBOLS_MAX
from transports.multicast.fec.erasures import Pairs, erasures_of, pairs_of
from transports.multicast.fec.gf256 import EXP, LOG, ORDER, times_table

__all__ = [
    "CauchyCode",
    "check_decoding",
    "check_frame",
    "check_indices",
    "check_symbols",
    "decoding",
    "factors",
    "inverse",
    "inverses",
]

_BITS = 8
_ROWS_REMEMBERED_MAX = 512  # a few kilobytes each; a whole image of equal blocks uses at most 68
_EXP_WIDE = EXP[np.arange(3 * ORDER) % ORDER]
"""EXP of sums of logarithms, three at most."""
_times = cache(times_table)
"""Of one byte: 256 at most. Not made on import: who receives everything, or has a faster decoder, needs none."""

_Symbols = NDArray[np.uint8]
_Words = NDArray[np.uint64]


class CauchyCode:
    """See ErasureCode. Without state of its own: one object may serve any number of threads."""

    def encode(self, block: _Symbols, parity: Sequence[int]) -> _Symbols:
        """As ErasureCode.encode."""
        check_symbols(block)
        words = block.view(np.uint64)
        check_indices(len(words), parity)
        rows = np.empty((len(parity), words.shape[1]), dtype=np.uint64)
        for row, index in zip(rows, parity, strict=True):
            _encode_row(words, index, row)
        return rows.view(np.uint8)

    def encode_frame(self, frame: _Symbols, blocks: int, first: int, count: int) -> _Symbols:
        """As ErasureCode.encode_frame."""
        check_frame(frame, blocks)
        made = np.empty((count, blocks, frame.shape[1]), dtype=np.uint8)
        for number in range(blocks):
            block = frame[number::blocks]
            made[:, number] = self.encode(block, range(len(block) + first, len(block) + first + count))
        return made

    def decode(self, block: _Symbols, missing: Sequence[int], parity: Sequence[int], rows: _Symbols) -> None:
        """As ErasureCode.decode. Prefers the parity of low indices, because row k is the cheapest."""
        check_symbols(block)
        lost = check_decoding(len(block), missing, parity, len(rows))
        if not lost:
            return
        chosen = sorted(range(len(parity)), key=parity.__getitem__)[: len(lost)]
        indices = [parity[position] for position in chosen]
        block[lost] = 0
        differences = self.encode(block, indices)
        differences ^= rows[chosen]
        for position, row in zip(lost, inverse(len(block), indices, lost), strict=True):
            block[position] = _combine(differences, row)

    def decode_frame(
        self, frame: _Symbols, blocks: int, rows: NDArray[np.integer], parity: NDArray[np.integer]
    ) -> None:
        """As ErasureCode.decode_frame."""
        check_frame(frame, blocks)
        lost = erasures_of(frame, blocks, rows, parity)
        for some in lost.groups(1):
            block = frame[int(lost.blocks[some.start]) :: blocks]
            self.decode(block, lost.missing[some].tolist(), lost.parity[some].tolist(), frame[lost.rows[some]])


def check_symbols(block: _Symbols) -> None:
    """ValueError for what is no block of symbols."""
    if block.ndim != 2 or not 0 < len(block) < SYMBOLS_MAX or not block.shape[1]:
        raise ValueError(f"a block of {block.shape} bytes")
    if block.shape[1] % SYMBOL_ALIGN_BYTES:
        raise ValueError(f"symbols of {block.shape[1]} bytes: not a multiple of {SYMBOL_ALIGN_BYTES}")


def check_frame(frame: _Symbols, blocks: int) -> None:
    """ValueError for what is no frame of whole symbols, one behind the other."""
    check_symbols(frame[::blocks])
    if frame.strides != (frame.shape[1], 1):
        raise ValueError(f"a frame whose rows lie {frame.strides[0]} bytes apart")


def check_indices(k: int, parity: Sequence[int]) -> None:
    """ValueError for parity indices that a block of `k` does not have, or has once."""
    if len(set(parity)) != len(parity) or any(not k <= index < SYMBOLS_MAX for index in parity):
        raise ValueError(f"parity indices {list(parity)} of a block of {k}")


def check_decoding(k: int, missing: Sequence[int], parity: Sequence[int], rows: int) -> list[int]:
    """The missing rows in order. ValueError for arguments of `decode` that make no sense; `rows`: how many came."""
    lost = sorted(missing)
    check_indices(k, parity)
    if len(set(lost)) != len(lost) or (lost and not 0 <= lost[0] <= lost[-1] < k):
        raise ValueError(f"missing rows {missing} of a block of {k}")
    if rows != len(parity) or len(parity) < len(lost):
        raise ValueError(f"{rows} parity rows with {len(parity)} indices for {len(lost)} missing")
    return lost


def _encode_row(words: _Words, index: int, row: _Words) -> None:
    """Parity `index` of a block into `row`."""
    if index == len(words):
        np.bitwise_xor.reduce(words, axis=0, out=row)
        return
    row[:] = 0
    scratch = np.empty_like(row)
    for times, members in zip((_times(1 << bit) for bit in range(_BITS)), _planes(len(words), index), strict=True):
        if len(members):
            np.bitwise_xor.reduce(words[members], axis=0, out=scratch)
            row ^= np.frombuffer(scratch.tobytes().translate(times), dtype=np.uint64)


@lru_cache(maxsize=_ROWS_REMEMBERED_MAX)
def _planes(k: int, index: int) -> tuple[NDArray[np.intp], ...]:
    """For each bit of the coefficients of parity `index`: the originals that have it set."""
    row = factors(k, index)
    return tuple(np.flatnonzero(row >> bit & 1) for bit in range(_BITS))


def factors(k: int, index: int) -> NDArray[np.uint8]:
    """Row c(index, j) of the code's matrix."""
    originals = np.arange(k)
    row: NDArray[np.uint8] = EXP[(LOG[k ^ originals] - LOG[index ^ originals]) % ORDER]
    return row


def inverse(k: int, parity: Sequence[int], missing: Sequence[int]) -> NDArray[np.uint8]:
    """Rows of the inverse of the matrix c(i, j), i in `parity`, j in `missing`: one for each missing original."""
    count = len(missing)
    pairs = pairs_of(np.zeros(count, dtype=np.int64))
    rows = inverses(pairs, np.full(count, k), np.asarray(parity, dtype=np.int64), np.asarray(missing, dtype=np.int64))
    return rows.reshape(count, count)


def inverses(
    pairs: Pairs, k: NDArray[np.int64], parity: NDArray[np.int64], missing: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The inverses of many blocks, one behind the other, each row by row: element (j, i) for each of `pairs`.

    `k`, `parity` and `missing` have an entry for each missing original; `k` is how many its block has. With x, y the
    points of a Cauchy matrix, element (j, i) of its inverse is the product over all m of (x_i + y_m)(x_m + y_j),
    divided by (x_i + y_j), by the product over m != i of (x_i + x_m) and by the product over m != j of (y_j + y_m).
    Scaling column j of the matrix divides row j of the inverse. Products are sums of logarithms; LOG[0] is 0, so that a
    product over all others is a sum over all.
    """
    if not len(pairs.first):
        return np.zeros(0, dtype=np.uint8)
    x, y = parity.take(pairs.first), missing.take(pairs.first)
    other_x, other_y = parity.take(pairs.second), missing.take(pairs.second)
    cross = LOG.take(other_x ^ y)
    of_x = np.add.reduceat(LOG.take(x ^ other_y) - LOG.take(x ^ other_x), pairs.begins)
    of_y = np.add.reduceat(cross - LOG.take(y ^ other_y), pairs.begins) - LOG.take(missing ^ k)
    rows: NDArray[np.uint8] = EXP.take((of_x.take(pairs.second) + of_y.take(pairs.first) - cross) % ORDER)
    return rows


def decoding(k: int, parity: Sequence[int], missing: Sequence[int]) -> NDArray[np.uint8]:
    """The originals `missing` of a block as sums of what is there.

    A row has a factor for each row of the block, the rows that are missing being those where as many of `parity` stand
    in, in the same order. A missing original is the inverse's sum of the differences of parity, and each of these a sum
    of all that is there.
    """
    matrix = inverse(k, parity, missing)
    originals = np.arange(k)
    rows = LOG[k ^ originals] - LOG[np.asarray(parity)[:, None] ^ originals] + ORDER
    products = _EXP_WIDE.take(LOG[matrix][:, :, None] + rows)
    result: NDArray[np.uint8] = np.bitwise_xor.reduce(products, axis=1)
    result[:, missing] = matrix
    return result


def _combine(rows: _Symbols, row_factors: NDArray[np.uint8]) -> _Symbols:
    """The sum of `rows`, each times its factor."""
    total = np.zeros(rows.shape[1], dtype=np.uint8)
    for row, factor in zip(rows, row_factors.tolist(), strict=True):
        total ^= np.frombuffer(row.tobytes().translate(_times(factor)), dtype=np.uint8)
    return total
