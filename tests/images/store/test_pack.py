from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ChunkError
from core.ids import Digest
from images.codec import STORED_LENGTH_MAX
from images.digest import digest_of, quick_check
from images.store.pack import PACK_HEADER, DamagedRecord, Record, RecordHeader, read_record, scan_pack
from images.stores import Encoding


def header(stored: bytes, *, raw_length: int | None = None) -> RecordHeader:
    return RecordHeader(
        digest=digest_of(stored),
        encoding=Encoding.RAW,
        stored_length=len(stored),
        raw_length=len(stored) if raw_length is None else raw_length,
        check=quick_check(stored),
    )


def pack_of(*pieces: bytes) -> bytes:
    return PACK_HEADER + b"".join(header(piece).encode() + piece for piece in pieces)


def scan(path: Path, data: bytes) -> list[Record | DamagedRecord]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(scan_pack(fd))
    finally:
        os.close(fd)


def shape(found: list[Record | DamagedRecord]) -> Iterator[tuple[str, int]]:
    for item in found:
        yield ("record" if isinstance(item, Record) else "torn" if item.torn else "damage", item.offset)


@given(st.binary(min_size=32, max_size=32), st.sampled_from(Encoding), st.integers(1, 2**24), st.integers(0, 2**64 - 1))
def test_a_header_round_trips(digest: bytes, encoding: Encoding, length: int, check: int) -> None:
    made = RecordHeader(digest=Digest(digest), encoding=encoding, stored_length=length, raw_length=length, check=check)
    assert len(made.encode()) == 64
    assert RecordHeader.parse(made.encode()) == made


@given(st.integers(0, 64 * 8 - 1))
def test_one_flipped_bit_spoils_a_header(bit: int) -> None:
    data = bytearray(header(b"chunk").encode())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChunkError):
        RecordHeader.parse(data)


@pytest.mark.parametrize(("stored", "raw"), [(0, 1), (1, 0), (STORED_LENGTH_MAX + 1, 1), (1, 2**24 + 1)])
def test_lengths_out_of_bounds_are_refused_even_with_a_good_checksum(stored: int, raw: int) -> None:
    made = RecordHeader(digest=Digest(bytes(32)), encoding=Encoding.RAW, stored_length=stored, raw_length=raw, check=0)
    with pytest.raises(ChunkError, match="raw bytes"):
        RecordHeader.parse(made.encode())


def test_an_unknown_encoding_is_refused() -> None:
    made = RecordHeader(digest=Digest(bytes(32)), encoding=9, stored_length=1, raw_length=1, check=0)  # type: ignore[arg-type]
    with pytest.raises(ChunkError, match="encoding 9"):
        RecordHeader.parse(made.encode())


def test_all_records_of_a_pack_are_found(tmp_path: Path) -> None:
    found = scan(tmp_path / "p", pack_of(b"one", b"two" * 100, b"three"))
    assert list(shape(found)) == [("record", 80), ("record", 147), ("record", 511)]


def test_every_cut_of_a_pack_gives_its_whole_records_and_a_torn_tail(tmp_path: Path) -> None:
    data = pack_of(b"one", b"two" * 100)
    for length in range(len(data)):
        found = list(shape(scan(tmp_path / "p", data[:length])))
        whole = [("record", 80)] if length >= 83 else []
        torn = [] if length in (16, 83) else [("torn", 0 if length < 16 else 16 if length < 83 else 83)]
        assert found == whole + torn


def test_the_walk_goes_on_after_damage(tmp_path: Path) -> None:
    data = bytearray(pack_of(b"one", b"two", b"three"))
    data[16 + 67] ^= 1  # the header of the second
    assert list(shape(scan(tmp_path / "p", bytes(data)))) == [("record", 80), ("damage", 83), ("record", 214)]
    data = bytearray(pack_of(b"one", b"OGRC" * 300_000 + b"OG", b"three"))
    data[16 + 67] ^= 1
    assert [kind for kind, _ in shape(scan(tmp_path / "p", bytes(data)))] == ["record", "damage", "record"]


def test_a_file_of_another_kind_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ChunkError, match="not a pack"):
        scan(tmp_path / "p", b"x" * 100)


def test_a_record_is_read_with_its_checks(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(pack_of(b"one") + b"tail")
    fd = os.open(path, os.O_RDONLY)
    try:
        found, stored = read_record(fd, 16)
        assert (found, bytes(stored)) == (header(b"one"), b"one")
        for at in (0, 15, 83, 1000):
            with pytest.raises(ChunkError):
                read_record(fd, at)
    finally:
        os.close(fd)
    with pytest.raises(ChunkError, match="cannot be read"):
        read_record(fd, 16)
