from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ManifestError, UsageError
from core.ids import Digest, ImageRef
from images.digest import digest_of
from images.extents import MAX_EXTENTS, Extents, Kind
from images.manifest import FileSystem, Manifest, encode_manifest, parse_manifest, restamp, sign_manifest
from images.signing import SigningKey

CHUNK = 65536
KEY = SigningKey.from_pem(
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    b"-----END PRIVATE KEY-----\n"
)


def digests(count: int) -> list[Digest]:
    return [digest_of(number.to_bytes(8, "little")) for number in range(count)]


def encoded(extents: Extents, *, chunk_size: int = CHUNK, name: str = "room1", version: int = 1) -> bytes:
    return encode_manifest(
        name=name,
        version=version,
        created="2026-02-03T04:05:06Z",
        tool="ogcast 0.1",
        source="raw",
        size=extents.size,
        chunk_size=chunk_size,
        block_size=4096,
        sector_size=512,
        fs=FileSystem(type="ext4", label="raíz", uuid="0"),
        extents=extents,
        digests=digests(len(extents.slots_with_data(chunk_size))),
    )


SMALL = Extents.from_lengths([CHUNK + 1, CHUNK * 3, 700, 2 * CHUNK], [Kind.DATA, Kind.SKIP, Kind.DATA, Kind.ZERO])


def same(one: Manifest, other: Manifest) -> bool:
    return one.extents == other.extents and one.digests() == other.digests() and one.fs == other.fs


def test_a_manifest_gives_back_what_went_in() -> None:
    manifest = parse_manifest(encoded(SMALL))
    assert manifest.ref == ImageRef("room1", 1)
    assert (manifest.size, manifest.chunk_size, manifest.block_size, manifest.sector_size) == (
        SMALL.size,
        CHUNK,
        4096,
        512,
    )
    assert manifest.fs == FileSystem(type="ext4", label="raíz", uuid="0")
    assert (manifest.created, manifest.tool, manifest.source) == ("2026-02-03T04:05:06Z", "ogcast 0.1", "raw")
    assert manifest.data_bytes == CHUNK + 701
    assert manifest.extents == SMALL
    assert manifest.digests() == digests(3)
    assert [manifest.digest(chunk) for chunk in range(3)] == digests(3)
    assert [manifest.slot(chunk) for chunk in range(3)] == [0, 1, 4]
    assert [manifest.chunk_of_slot(slot) for slot in range(6)] == [0, 1, None, None, 2, None]
    assert manifest.encode() == encoded(SMALL)
    with pytest.raises(IndexError):
        manifest.digest(3)
    with pytest.raises(IndexError):
        manifest.slot(-1)


def test_the_last_chunk_covers_only_the_image() -> None:
    manifest = parse_manifest(encoded(Extents.all_data(CHUNK + 513)))
    assert manifest.span(1) == (CHUNK, CHUNK + 513)
    assert manifest.raw_length(1) == 513


@pytest.mark.parametrize(
    "extents",
    [
        Extents.all_data(0),
        Extents.all_data(1),
        Extents.from_lengths([10 * CHUNK], [Kind.ZERO]),
        Extents.from_lengths([10 * CHUNK + 511], [Kind.SKIP]),
        Extents.from_lengths([2**50, 511], [Kind.SKIP, Kind.DATA]),
    ],
    ids=["empty", "one byte", "all ZERO", "all SKIP", "1 PiB"],
)
def test_unusual_images_round_trip(extents: Extents) -> None:
    manifest = parse_manifest(sign_manifest(encoded(extents), KEY))
    manifest.verify(KEY.public)
    assert manifest.extents == extents
    assert manifest.chunk_count == len(extents.slots_with_data(CHUNK))


@given(st.lists(st.tuples(st.integers(1, 5 * CHUNK), st.sampled_from(Kind)), max_size=12))
def test_any_extents_round_trip(pairs: list[tuple[int, Kind]]) -> None:
    merged = [pair for n, pair in enumerate(pairs) if n == 0 or pairs[n - 1][1] is not pair[1]]
    extents = Extents.from_lengths([length for length, _ in merged], [kind for _, kind in merged])
    assert parse_manifest(encoded(extents)).extents == extents


def test_a_manifest_of_the_most_extents_allowed_parses() -> None:
    extents = Extents.from_lengths(np.full(MAX_EXTENTS, 262144), np.arange(MAX_EXTENTS) % 2)
    slots = extents.slots_with_data(CHUNK)
    assert len(slots) == 2**21
    data = encode_manifest(
        name="big",
        version=1,
        created="2026-02-03T04:05:06Z",
        tool="",
        source="raw",
        size=extents.size,
        chunk_size=CHUNK,
        block_size=512,
        sector_size=512,
        fs=FileSystem(),
        extents=extents,
        digests=[Digest(bytes(32))] * len(slots),
    )
    assert parse_manifest(data).chunk_count == 2**21


def test_signatures_of_two_keys_stand_side_by_side() -> None:
    other = SigningKey.generate()
    once = sign_manifest(encoded(SMALL), KEY)
    twice = sign_manifest(sign_manifest(once, other), other)
    manifest = parse_manifest(twice)
    assert len(manifest.signatures) == 2
    assert manifest.root == parse_manifest(encoded(SMALL)).root
    manifest.verify(KEY.public)
    manifest.verify(other.public)
    with pytest.raises(ManifestError, match="pinned"):
        manifest.verify(SigningKey.generate().public)


def test_an_unsigned_manifest_does_not_verify() -> None:
    with pytest.raises(ManifestError, match="not signed"):
        parse_manifest(encoded(SMALL)).verify(KEY.public)


def test_a_signature_moved_to_another_manifest_does_not_verify() -> None:
    signed = sign_manifest(encoded(SMALL), KEY)
    other = sign_manifest(encoded(SMALL, version=2), KEY)
    mixed = other[:-76] + signed[-76:]
    with pytest.raises(ManifestError, match="wrong signature"):
        parse_manifest(mixed).verify(KEY.public)


def test_a_copy_has_new_values_and_no_signature() -> None:
    signed = sign_manifest(encoded(SMALL), KEY)
    copy = parse_manifest(restamp(signed, version=7, name="a-longer-name", created="2027-01-01T00:00:00Z"))
    assert copy.ref == ImageRef("a-longer-name", 7)
    assert copy.created == "2027-01-01T00:00:00Z"
    assert copy.signatures == ()
    assert same(copy, parse_manifest(signed))
    assert restamp(signed) == encoded(SMALL)


def test_a_copy_keeps_keys_it_does_not_know() -> None:
    data = with_map(encoded(SMALL), lambda values: values.update({"x-site": {"room": "1.1"}}))
    assert header_map(restamp(data, version=2))["x-site"] == {"room": "1.1"}


def header_map(data: bytes) -> dict[str, object]:
    length = int.from_bytes(data[12:16], "little")
    values: dict[str, object] = msgspec.msgpack.decode(data[64 : 64 + length])
    return values


def with_map(data: bytes, change: Callable[[dict[str, object]], object], *, order: str | None = "sorted") -> bytes:
    """`data` with a changed header map, put together as another implementation would."""
    values = header_map(data)
    change(values)
    return with_map_bytes(data, msgspec.msgpack.encode(values, order=order))  # type: ignore[arg-type]


def with_map_bytes(data: bytes, new: bytes) -> bytes:
    old = int.from_bytes(data[12:16], "little")
    stored = int.from_bytes(data[36:40], "little")
    table_at = -(-(64 + old + stored) // 8) * 8
    head = data[:12] + len(new).to_bytes(4, "little") + data[16:64]
    body = head + new + data[64 + old : 64 + old + stored]
    return body + bytes(-len(body) % 8) + data[table_at:]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda values: values.update({"!future": 1}), "feature"),
        (lambda values: values.update(name="a/b"), "legal image name"),
        (lambda values: values.update(name=".."), "legal image name"),
        (lambda values: values.update(name="x" * 300), "300 characters"),
        (lambda values: values.update(name="a\0"), "legal image name"),
        (lambda values: values.update(name="ñ"), "legal image name"),
        (lambda values: values.update(version=0), "version"),
        (lambda values: values.update(version="1"), "version"),
        (lambda values: values.update(created="yesterday"), "time in UTC"),
        (lambda values: values.update(data_bytes=1), "1 bytes of DATA"),
        (lambda values: values.pop("name"), "name"),
        (lambda values: values.update(fs=[]), "fs"),
        (lambda values: values.update(tool="x" * 2000), "tool"),
    ],
)
def test_header_maps_that_break_a_rule_are_refused(change: Callable[[dict[str, object]], object], rule: str) -> None:
    with pytest.raises(ManifestError, match=rule):
        parse_manifest(with_map(encoded(SMALL), change))


def test_an_unknown_key_is_ignored() -> None:
    parse_manifest(with_map(encoded(SMALL), lambda values: values.update({"future": [1, {"a": b"b"}, None]})))


def test_a_header_map_out_of_order_or_with_a_key_twice_is_refused() -> None:
    data = encoded(SMALL)
    pairs = sorted(header_map(data).items(), reverse=True)
    with pytest.raises(ManifestError, match="canonical"):
        parse_manifest(with_map_bytes(data, msgspec.msgpack.encode(dict(pairs))))
    old = msgspec.msgpack.encode(header_map(data), order="sorted")
    twice = bytes([old[0] + 1]) + old[1:] + msgspec.msgpack.encode("version") + b"\x01"
    with pytest.raises(ManifestError, match="canonical"):
        parse_manifest(with_map_bytes(data, twice))
    for rubbish in (b"", b"\xc1", b"\x01", b"\x81\x01\x01", b"\x91" * 10_000 + b"\x01", b"\x81\xa1\xff\x01"):
        with pytest.raises(ManifestError):
            parse_manifest(with_map_bytes(data, rubbish))


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


DATA = encoded(SMALL)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "truncated"),
        (DATA[:63], "truncated"),
        (DATA[:-1], "truncated"),
        (DATA + b"\0", "after the manifest"),
        (patched(DATA, 0, b"X"), "not a manifest"),
        (patched(DATA, 8, b"\2"), "format version 2"),
        (patched(DATA, 10, b"\1"), "reserved"),
        (patched(DATA, 44, b"\1"), "reserved"),
        (patched(DATA, 12, u32(2**20 + 1)), "header map bytes"),
        (patched(DATA, 12, u32(2**20)), "truncated"),
        (patched(DATA, 16, b"\xff" * 8), "image bytes"),
        (patched(DATA, 16, (SMALL.size + 1).to_bytes(8, "little")), "cover"),
        (patched(DATA, 24, u32(0)), "chunk size"),
        (patched(DATA, 24, u32(CHUNK + 1)), "chunk size"),
        (patched(DATA, 24, u32(CHUNK // 2)), "chunk size"),
        (patched(DATA, 24, u32(2**25)), "chunk size"),
        (patched(DATA, 24, u32(2 * CHUNK)), "chunk table"),
        (patched(DATA, 28, u32(2**20 + 1)), "extents"),
        (patched(DATA, 28, u32(5)), "extents section"),
        (patched(DATA, 28, u32(0)), "extents section"),
        (patched(DATA, 32, u32(2**22 + 1)), "chunks"),
        (patched(DATA, 32, u32(2**22)), "truncated"),
        (patched(DATA, 36, u32(2**31)), "bytes of extents"),
        (patched(DATA, 40, u32(4097)), "signature bytes"),
        (patched(DATA, len(DATA) - 40, b"\5"), "slot"),
        (patched(DATA, 40, u32(3)) + b"\1\0\0", "signature record"),
        (patched(DATA, 40, u32(4)) + b"\1\0\1\0", "signature record"),
        (patched(DATA, 40, u32(5)) + b"\1\0\1\0\0", "Ed25519"),
    ],
)
def test_files_that_break_a_rule_are_refused(data: bytes, rule: str) -> None:
    with pytest.raises(ManifestError, match=rule):
        parse_manifest(data)


def with_extents(records: bytes, count: int) -> bytes:
    """An image of 10 chunk slots whose extents section holds `records` and whose table is that of DATA in slot 0."""
    data = encoded(Extents.from_lengths([CHUNK, 9 * CHUNK], [Kind.DATA, Kind.SKIP]))
    old = int.from_bytes(data[12:16], "little")
    stored = zstandard.ZstdCompressor().compress(records)
    body = data[:28] + u32(count) + data[32:36] + u32(len(stored)) + data[40 : 64 + old] + stored
    return body + bytes(-len(body) % 8) + data[-40:]


def record(start: int, length: int, kind: Kind) -> bytes:
    return start.to_bytes(8, "little") + (length << 2 | kind).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("records", "rule"),
    [
        ([record(0, CHUNK, Kind.DATA), record(CHUNK - 1, 9 * CHUNK + 1, Kind.SKIP)], "overlapping"),
        ([record(0, CHUNK, Kind.DATA), record(CHUNK + 1, 9 * CHUNK - 1, Kind.SKIP)], "gap"),
        ([record(0, CHUNK, Kind.DATA)], "cover"),
        ([record(CHUNK, 9 * CHUNK, Kind.SKIP), record(0, CHUNK, Kind.DATA)], "not at 0"),
        ([record(0, 10 * CHUNK, Kind.DATA)], "chunk table|DATA"),
    ],
)
def test_extents_that_break_a_rule_are_refused(records: list[bytes], rule: str) -> None:
    with pytest.raises(ManifestError, match=rule):
        parse_manifest(with_extents(b"".join(records), len(records)))


def test_an_extents_section_larger_than_stated_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ManifestError, match="does not state"):
        parse_manifest(with_extents(bytes(2**24), 2))


def test_padding_that_is_not_zero_is_refused() -> None:
    for filler in range(8):
        data = with_map(encoded(SMALL), lambda values, filler=filler: values.update(tool="x" * filler))
        size = int.from_bytes(data[12:16], "little") + int.from_bytes(data[36:40], "little")
        if size % 8:
            with pytest.raises(ManifestError, match="padding"):
                parse_manifest(patched(data, 64 + size, b"\1"))


def test_a_signature_of_an_unknown_algorithm_is_skipped() -> None:
    foreign = b"\x09\x00\x04\x00abcd"
    manifest = parse_manifest(patched(DATA, 40, u32(len(foreign))) + foreign)
    assert manifest.signatures == ()


def test_parts_that_do_not_fit_together_are_not_encoded() -> None:
    with pytest.raises(UsageError):
        encoded(SMALL, name="a/b")
    with pytest.raises(ManifestError):
        encoded(SMALL, chunk_size=CHUNK + 1)
    with pytest.raises(ManifestError, match="digests"):
        encode_manifest(
            name="a",
            version=1,
            created="2026-02-03T04:05:06Z",
            tool="",
            source="raw",
            size=SMALL.size,
            chunk_size=CHUNK,
            block_size=512,
            sector_size=512,
            fs=FileSystem(),
            extents=SMALL,
            digests=digests(2),
        )


def test_a_manifest_takes_no_more_signatures_than_its_section_holds() -> None:
    data = DATA
    for _ in range(4096 // 76):
        data = sign_manifest(data, SigningKey.generate())
    parse_manifest(data)
    with pytest.raises(ManifestError, match="no room"):
        sign_manifest(data, SigningKey.generate())


def test_each_digest_is_named_once_by_its_first_chunk() -> None:
    some = digests(3)
    order = [some[1], some[0], some[1], some[2], some[0], some[2]]
    data = encode_manifest(
        name="room1",
        version=1,
        created="2026-02-03T04:05:06Z",
        tool="test",
        source="raw",
        size=6 * CHUNK,
        chunk_size=CHUNK,
        block_size=512,
        sector_size=512,
        fs=FileSystem(),
        extents=Extents.all_data(6 * CHUNK),
        digests=order,
    )
    manifest = parse_manifest(data)
    assert manifest.digests() == order
    assert list(manifest.distinct(at_once=2)) == [[0, 1], [3]]
    assert list(parse_manifest(encoded(Extents.all_data(0))).distinct()) == []
