"""Manifest, pack and codec parsers fed with rubbish and with damaged good input: a value or a documented error."""

from __future__ import annotations

import os
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ChunkError, ManifestError
from images.codec import decode_into
from images.digest import digest_of, quick_check
from images.extents import Extents, Kind
from images.headermap import decode_header_map
from images.manifest import FileSystem, encode_manifest, parse_manifest, sign_manifest
from images.signing import SigningKey, parse_signatures
from images.store.pack import PACK_HEADER, RECORD_HEADER_BYTES, DamagedRecord, Record, RecordHeader, scan_pack
from images.stores import Encoding

CHUNK = 65536
_EXTENTS = Extents.from_lengths([CHUNK + 7, 3 * CHUNK, 5000], [Kind.DATA, Kind.SKIP, Kind.DATA])
MANIFEST = sign_manifest(
    encode_manifest(
        name="fuzz",
        version=1,
        created="2026-02-03T04:05:06Z",
        tool="fuzz",
        source="raw",
        size=_EXTENTS.size,
        chunk_size=CHUNK,
        block_size=4096,
        sector_size=512,
        fs=FileSystem(type="ext4"),
        extents=_EXTENTS,
        digests=[digest_of(bytes([n])) for n in range(3)],
    ),
    SigningKey.generate(),
)
RAW = random.Random(1).randbytes(500) * 40
FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(RAW)
PIECES = [b"one", b"two" * 200, b"three"]


def _record(piece: bytes) -> bytes:
    header = RecordHeader(
        digest=digest_of(piece),
        encoding=Encoding.RAW,
        stored_length=len(piece),
        raw_length=len(piece),
        check=quick_check(piece),
    )
    return header.encode() + piece


PACK = PACK_HEADER + b"".join(map(_record, PIECES))

edits = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=9), st.integers(0, 9)), max_size=4)
"""Each: where, what to put there, how many bytes to take away."""


def damaged(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for where, new, gone in changes:
        at = where % (len(data) + 1)
        data = data[:at] + new + data[at + gone :]
    return data


@given(edits)
def test_a_damaged_manifest_is_refused_or_as_consistent_as_a_good_one(changes: list[tuple[int, bytes, int]]) -> None:
    data = damaged(MANIFEST, changes)
    try:
        manifest = parse_manifest(data)
    except ManifestError:
        return
    assert manifest.encode() == data
    assert manifest.extents.size == manifest.size
    assert manifest.chunk_count == len(manifest.extents.slots_with_data(manifest.chunk_size))
    for chunk in range(manifest.chunk_count):
        assert 0 < manifest.raw_length(chunk) <= manifest.chunk_size


@given(st.binary(max_size=400))
def test_rubbish_is_no_manifest(data: bytes) -> None:
    for parse in (parse_manifest, decode_header_map, lambda rubbish: parse_manifest(MANIFEST[:64] + rubbish)):
        with pytest.raises(ManifestError):
            parse(data)


@given(st.binary(max_size=300))
def test_a_signature_section_parses_or_is_refused(data: bytes) -> None:
    try:
        found = parse_signatures(data)
    except ManifestError:
        return
    assert len(found) * 76 <= len(data)


@given(edits, st.integers(1, 2 * len(RAW)))
def test_a_damaged_frame_decodes_to_its_length_or_is_refused(changes: list[tuple[int, bytes, int]], due: int) -> None:
    for length in (due, len(RAW)):
        out = bytearray(length + 16)
        try:
            decode_into(damaged(FRAME, changes), Encoding.ZSTD, memoryview(out)[:length])
        except ChunkError:
            pass
        else:
            assert length == len(RAW)
        assert out[length:] == bytes(16)


@given(st.binary(max_size=200), st.integers(1, 5000))
def test_rubbish_behind_a_frame_header_is_refused_or_fills_the_chunk(data: bytes, length: int) -> None:
    size = (length - 256).to_bytes(2, "little") if length >= 256 else bytes([length])
    head = b"\x28\xb5\x2f\xfd" + (b"\x60" if length >= 256 else b"\x20") + size
    out = bytearray(length)
    try:
        decode_into(head + data, Encoding.ZSTD, memoryview(out))
    except ChunkError:
        return
    assert len(data) >= 3


def _scan(data: bytes) -> list[Record | DamagedRecord]:
    fd = os.memfd_create("pack")
    try:
        os.write(fd, data)
        return list(scan_pack(fd))
    finally:
        os.close(fd)


@given(edits)
def test_a_damaged_pack_gives_good_records_and_names_the_rest(changes: list[tuple[int, bytes, int]]) -> None:
    data = damaged(PACK, changes)
    try:
        found = _scan(data)
    except ChunkError:
        assert data[:16] != PACK_HEADER
        return
    covered = 16 if len(data) >= 16 else 0
    for item in found:
        if isinstance(item, Record):
            assert item.offset == covered + RECORD_HEADER_BYTES
            stored = data[item.offset : item.offset + item.header.stored_length]
            assert digest_of(stored) in {digest_of(piece) for piece in PIECES}
            covered = item.offset + item.header.stored_length
        else:
            assert item.offset == covered
            covered += item.length
    assert covered == len(data)


@given(st.binary(max_size=500))
def test_rubbish_in_a_pack_is_named_from_end_to_end(data: bytes) -> None:
    assert sum(item.length for item in _scan(PACK_HEADER + data) if isinstance(item, DamagedRecord)) == len(data)
