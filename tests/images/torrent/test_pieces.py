"""Hashes of a torrent: those of the plain definitions, however the file is cut into parts."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.torrent.pieces import (
    BLOCK_BYTES,
    PIECE_LENGTH_MAX,
    PIECE_LENGTH_MIN,
    PIECES_WANTED,
    PieceHashes,
    hash_parts,
    merkle_root,
    piece_length_for,
)

PIECE = 2 * BLOCK_BYTES


def plain_root(leaves: list[bytes], width: int) -> bytes:
    """BEP 52 word by word: pad the leaves with zeros to a full tree, then join pairs."""
    level = leaves + [bytes(32)] * (width - len(leaves))
    while len(level) > 1:
        level = [hashlib.sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0]


def plain_hashes(content: bytes, piece_length: int) -> PieceHashes:
    """All of it at once, in one thread."""
    pieces = [content[at : at + piece_length] for at in range(0, len(content), piece_length)]
    leaves = [hashlib.sha256(content[at : at + BLOCK_BYTES]).digest() for at in range(0, len(content), BLOCK_BYTES)]
    per_piece = piece_length // BLOCK_BYTES
    layer = [plain_root(leaves[at : at + per_piece], per_piece) for at in range(0, len(leaves), per_piece)]
    width = 1
    while width < len(leaves):
        width *= 2
    return PieceHashes(
        length=len(content),
        piece_length=piece_length,
        sha1=b"".join(hashlib.sha1(piece).digest() for piece in pieces),
        layer=b"".join(layer) if len(pieces) > 1 else b"",
        root=plain_root(leaves, max(width, per_piece) if len(pieces) > 1 else width),
    )


@given(
    runs=st.lists(st.tuples(st.integers(1, 3 * PIECE), st.booleans()), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    workers=st.integers(1, 3),
)
def test_hashes_are_those_of_the_whole_file(runs: list[tuple[int, bool]], seed: int, workers: int) -> None:
    rng = random.Random(seed)
    parts: list[bytes | int] = [length if is_zero else rng.randbytes(length) for length, is_zero in runs]
    content = b"".join(bytes(part) if isinstance(part, int) else part for part in parts)
    assert hash_parts(parts, PIECE, workers=workers) == plain_hashes(content, PIECE)


@pytest.mark.parametrize("length", [1, BLOCK_BYTES, BLOCK_BYTES + 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE])
def test_the_ends_of_blocks_and_pieces(length: int) -> None:
    content = random.Random(length).randbytes(length)
    assert hash_parts([content], PIECE, workers=2) == plain_hashes(content, PIECE)
    assert hash_parts([length], PIECE, workers=2) == plain_hashes(bytes(length), PIECE)


def test_a_part_may_change_once_the_next_is_asked_for() -> None:
    buffer = bytearray(1000)
    content = b""

    def parts():
        nonlocal content
        for value in range(200):
            buffer[:] = bytes([value]) * 1000
            content += bytes(buffer)
            yield memoryview(buffer)

    assert hash_parts(parts(), PIECE) == plain_hashes(content, PIECE)


def test_a_terabyte_of_zeros_is_hashed_once() -> None:
    hashes = hash_parts([1 << 40], PIECE_LENGTH_MAX, workers=1)
    assert hashes.pieces == 65_536
    assert len({hashes.layer[at : at + 32] for at in range(0, len(hashes.layer), 32)}) == 1


def test_an_empty_file_has_no_pieces() -> None:
    with pytest.raises(ValueError, match="empty"):
        hash_parts([], PIECE)


def test_an_error_of_the_source_ends_the_pass() -> None:
    def parts():
        yield bytes(10 * PIECE)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        hash_parts(parts(), PIECE, workers=2)


def test_padding_of_a_tree_is_that_of_its_level() -> None:
    leaves = [bytes([n]) * 32 for n in range(5)]
    assert merkle_root(leaves, height=4) == plain_root(leaves, 16)
    assert merkle_root([leaves[0]], height=0) == leaves[0]


@given(st.integers(1, 2**50))
def test_piece_lengths_are_powers_of_two_in_bounds(length: int) -> None:
    piece = piece_length_for(length)
    assert piece & (piece - 1) == 0
    assert PIECE_LENGTH_MIN <= piece <= PIECE_LENGTH_MAX
    assert piece in (PIECE_LENGTH_MIN, PIECE_LENGTH_MAX) or PIECES_WANTED / 2 <= length / piece <= PIECES_WANTED + 1
