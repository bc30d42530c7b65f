"""What every store of chunks must do. A test module gives `Store`: a writer and the reader that sees its chunks."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.errors import ChunkError
from core.ids import Digest
from images.codec import decode_into, encode
from images.digest import digest_of
from images.stores import ChunkReader, ChunkWriter, Encoding

__all__ = ["CHECKS", "Check", "Store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store under test."""

    reader: ChunkReader
    writer: ChunkWriter
    settle: Callable[[], None]
    """After it the reader sees what the writer appended."""


Check = Callable[[Store], None]


def _chunk(seed: int, length: int = 5000) -> tuple[Digest, bytes]:
    raw = random.Random(seed).randbytes(length)
    return digest_of(raw), raw


def _read(store: Store, digest: Digest) -> bytes:
    place = store.reader.locate(digest)
    out = bytearray(place.raw_length)
    decode_into(os.pread(place.fd, place.length, place.offset), place.encoding, memoryview(out))
    return bytes(out)


def what_was_appended_is_read_back(store: Store) -> None:
    """RAW and ZSTD chunks, of one byte and of many."""
    chunks = dict(_chunk(seed, length) for seed, length in enumerate((1, 511, 70_000)))
    compressible = b"0123456789" * 5000
    chunks[digest_of(compressible)] = compressible
    for digest, raw in chunks.items():
        encoding, stored = encode(raw, 3)
        store.writer.append(digest, stored, encoding=encoding, raw_length=len(raw))
    store.settle()
    for digest, raw in chunks.items():
        assert _read(store, digest) == raw


def contains_answers_in_order(store: Store) -> None:
    """A writer sees its own chunks at once, the reader once settled."""
    (here, raw), (absent, _) = _chunk(1), _chunk(2)
    assert store.writer.contains([here, absent]) == [False, False]
    store.writer.append(here, raw, encoding=Encoding.RAW, raw_length=len(raw))
    assert store.writer.contains([absent, here, here]) == [False, True, True]
    store.settle()
    assert store.reader.contains([absent, here]) == [False, True]
    assert store.reader.contains([]) == []


def four_thousand_digests_are_asked_at_once(store: Store) -> None:
    """The largest batch."""
    digest, raw = _chunk(1)
    store.writer.append(digest, raw, encoding=Encoding.RAW, raw_length=len(raw))
    store.settle()
    others = [digest_of(n.to_bytes(4, "little")) for n in range(4095)]
    assert store.reader.contains([*others, digest]) == [False] * 4095 + [True]


def an_unknown_chunk_is_an_error(store: Store) -> None:
    """locate raises ChunkError."""
    with pytest.raises(ChunkError):
        store.reader.locate(_chunk(3)[0])


def appending_twice_changes_nothing(store: Store) -> None:
    """The first bytes stay, before and after settling."""
    digest, raw = _chunk(4)
    for _ in range(2):
        store.writer.append(digest, raw, encoding=Encoding.RAW, raw_length=len(raw))
        store.writer.append(digest, b"other", encoding=Encoding.ZSTD, raw_length=len(raw))
        store.settle()
    assert _read(store, digest) == raw


def the_buffer_is_free_after_append(store: Store) -> None:
    """A caller may overwrite its buffer."""
    digest, raw = _chunk(5)
    buffer = bytearray(raw)
    store.writer.append(digest, memoryview(buffer), encoding=Encoding.RAW, raw_length=len(raw))
    buffer[:] = bytes(len(buffer))
    store.settle()
    assert _read(store, digest) == raw


CHECKS: tuple[Check, ...] = (
    what_was_appended_is_read_back,
    contains_answers_in_order,
    four_thousand_digests_are_asked_at_once,
    an_unknown_chunk_is_an_error,
    appending_twice_changes_nothing,
    the_buffer_is_free_after_append,
)
