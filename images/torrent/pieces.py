"""The hashes of a torrent: SHA-1 of every piece (BEP 3), and SHA-256 trees over its 16 KiB blocks (BEP 52).

Pieces are hashed in a pool while the next ones are gathered; both digests release the GIL. A piece of zeros is hashed
once, however many there are.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

__all__ = [
    "BLOCK_BYTES",
    "PIECES_WANTED",
    "PIECE_LENGTH_MAX",
    "PIECE_LENGTH_MIN",
    "PieceHashes",
    "block_digests",
    "hash_parts",
    "merkle_root",
    "piece_length_for",
]

BLOCK_BYTES = 16 * 1024
"""What a leaf of the tree covers."""
PIECE_LENGTH_MIN = 256 * 1024
PIECE_LENGTH_MAX = 16 * 1024 * 1024
PIECES_WANTED = 2048
"""Enough for a room to exchange pieces from the start, few enough for a torrent of a hundred kilobytes."""
AHEAD_BYTES_MAX = 64 * 1024 * 1024
"""Piece buffers of one pass, unless three of the piece length need more."""
_AHEAD_MIN = 3
SHA1_BYTES = 20
SHA256_BYTES = 32
_NO_BLOCK = bytes(SHA256_BYTES)
"""Stands for a block after the end of the file."""

_Hashes = tuple[bytes, bytes]
"""SHA-1 of a piece, root of its tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceHashes:
    """What a hybrid torrent says of the content of its one file."""

    length: int
    """Bytes of the file, at least 1."""
    piece_length: int
    """Bytes of a piece, a power of two; the last piece may be shorter."""
    sha1: bytes
    """20 bytes a piece."""
    layer: bytes
    """32 bytes a piece: the roots of the pieces' trees; empty for a file of one piece."""
    root: bytes
    """32 bytes: the root of the tree of the file."""

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return -(-self.length // self.piece_length)


def piece_length_for(length: int) -> int:
    """A power of two that cuts a file of `length` bytes into about PIECES_WANTED pieces, within the bounds."""
    wanted = max(length // PIECES_WANTED, 1)
    return min(max(1 << (wanted - 1).bit_length(), PIECE_LENGTH_MIN), PIECE_LENGTH_MAX)


def hash_parts(
    parts: Iterable[bytes | bytearray | memoryview | int], piece_length: int, *, workers: int | None = None
) -> PieceHashes:
    """The hashes of a file given in parts, in order; a number stands for that many zeros. It must not be empty.

    A part is consumed before the next one is asked for.
    """
    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count, thread_name_prefix="pieces") as pool:
        try:
            return _Pass(piece_length, pool, count).run(parts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def merkle_root(nodes: list[bytes], *, height: int, pad: bytes = _NO_BLOCK) -> bytes:
    """Root of a tree of 2**height leaves: `nodes`, at least one, then `pad` where there are fewer."""
    for _ in range(height):
        if len(nodes) % 2:
            nodes = [*nodes, pad]
        nodes = [hashlib.sha256(nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]
        pad = hashlib.sha256(pad + pad).digest()
    return nodes[0]


class _Pass:
    """One walk over a file."""

    def __init__(self, piece_length: int, pool: ThreadPoolExecutor, workers: int) -> None:
        self._piece_length = piece_length
        self._pool = pool
        self._height = (piece_length // BLOCK_BYTES - 1).bit_length()
        ahead = max(min(2 * workers, AHEAD_BYTES_MAX // piece_length), _AHEAD_MIN)
        self._free = [bytearray(piece_length) for _ in range(ahead)]
        self._underway: deque[tuple[Future[_Hashes], bytearray | None]] = deque()
        self._filling: bytearray | None = None
        self._filled = 0
        self._length = 0
        self._sha1 = bytearray()
        self._roots: list[bytes] = []
        self._zeros: Future[_Hashes] | None = None

    def run(self, parts: Iterable[bytes | bytearray | memoryview | int]) -> PieceHashes:
        for part in parts:
            if isinstance(part, int):
                self._add_zeros(part)
            else:
                self._add(memoryview(part))
        if not self._length:
            raise ValueError("an empty file has no pieces")
        if self._length < self._piece_length:
            return self._only_piece()
        self._submit()
        while self._underway:
            self._collect()
        above = (len(self._roots) - 1).bit_length()
        root = merkle_root(self._roots, height=above, pad=merkle_root([_NO_BLOCK], height=self._height))
        return PieceHashes(
            length=self._length,
            piece_length=self._piece_length,
            sha1=bytes(self._sha1),
            layer=b"".join(self._roots) if len(self._roots) > 1 else b"",
            root=root,
        )

    def _only_piece(self) -> PieceHashes:
        """A file shorter than a piece: its tree is only as high as its blocks need."""
        with memoryview(self._buffer())[: self._length] as piece:
            blocks = list(block_digests(piece))
            sha1 = hashlib.sha1(piece, usedforsecurity=False).digest()
        root = merkle_root(blocks, height=(len(blocks) - 1).bit_length())
        return PieceHashes(length=self._length, piece_length=self._piece_length, sha1=sha1, layer=b"", root=root)

    def _add(self, part: memoryview) -> None:
        part = part.cast("B")
        while part:
            taken = part[: self._piece_length - self._filled]
            buffer = self._buffer()
            buffer[self._filled : self._filled + len(taken)] = taken
            self._advance(len(taken))
            part = part[len(taken) :]

    def _add_zeros(self, count: int) -> None:
        while count:
            if not self._filled and count >= self._piece_length:
                self._submit_zeros()
                count -= self._piece_length
                continue
            taken = min(count, self._piece_length - self._filled)
            self._buffer()[self._filled : self._filled + taken] = bytes(taken)
            self._advance(taken)
            count -= taken

    def _buffer(self) -> bytearray:
        if self._filling is None:
            while not self._free:
                self._collect()
            self._filling = self._free.pop()
        return self._filling

    def _advance(self, count: int) -> None:
        self._filled += count
        self._length += count
        if self._filled == self._piece_length:
            self._submit()

    def _submit(self) -> None:
        if self._filling is None:
            return
        buffer, length = self._filling, self._filled
        self._filling, self._filled = None, 0
        self._underway.append((self._pool.submit(_hash_piece, buffer, length, self._height), buffer))

    def _submit_zeros(self) -> None:
        if self._zeros is None:
            zeros = bytearray(self._piece_length)
            self._zeros = self._pool.submit(_hash_piece, zeros, len(zeros), self._height)
        self._length += self._piece_length
        self._underway.append((self._zeros, None))
        if len(self._underway) > 2 * len(self._free) + _AHEAD_MIN:
            self._collect()

    def _collect(self) -> None:
        """Take the oldest piece's hashes, and its buffer back."""
        future, buffer = self._underway.popleft()
        sha1, root = future.result()
        self._sha1 += sha1
        self._roots.append(root)
        if buffer is not None:
            self._free.append(buffer)


def _hash_piece(buffer: bytearray, length: int, height: int) -> _Hashes:
    with memoryview(buffer)[:length] as piece:
        sha1 = hashlib.sha1(piece, usedforsecurity=False).digest()
        return sha1, merkle_root(list(block_digests(piece)), height=height)


def block_digests(piece: memoryview) -> Iterator[bytes]:
    """SHA-256 of each block of a piece."""
    for at in range(0, len(piece), BLOCK_BYTES):
        yield hashlib.sha256(piece[at : at + BLOCK_BYTES]).digest()
