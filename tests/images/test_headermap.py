from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ManifestError, UsageError
from images.headermap import HEADER_MAP_BYTES_MAX, FileSystem, HeaderMap, decode_header_map, encode_header_map


def header(**changes: object) -> HeaderMap:
    values: dict[str, object] = {
        "name": "room1",
        "version": 1,
        "created": "2026-02-03T04:05:06Z",
        "tool": "test",
        "source": "raw",
        "block_size": 4096,
        "sector_size": 512,
        "fs": FileSystem(),
        "data_bytes": 0,
    }
    return HeaderMap(**{**values, **changes})  # type: ignore[arg-type]


@given(st.text(max_size=50), st.text(max_size=50), st.integers(1, 2**31 - 1))
def test_a_header_map_round_trips(label: str, tool: str, version: int) -> None:
    made = header(fs=FileSystem(label=label), tool=tool, version=version)
    assert decode_header_map(encode_header_map(made))[0] == made


def test_keys_are_sorted_and_encodings_are_the_shortest() -> None:
    data = encode_header_map(header())
    values = msgspec.msgpack.decode(data)
    assert list(values) == sorted(values)
    assert data[0] == 0x80 | len(values)


@pytest.mark.parametrize("created", ["", "2026-02-03", "2026-02-03T04:05:06", "2026-02-03T04:05:06+01:00", "x" * 500])
def test_times_are_in_utc(created: str) -> None:
    with pytest.raises(ManifestError, match="UTC"):
        encode_header_map(header(created=created))


def test_an_illegal_name_is_the_callers_mistake_when_writing_and_a_bad_manifest_when_reading() -> None:
    with pytest.raises(UsageError):
        encode_header_map(header(name="../x"))
    values = msgspec.to_builtins(header(name="../x"))
    with pytest.raises(ManifestError):
        decode_header_map(msgspec.msgpack.encode(values, order="deterministic"))


def test_too_long_a_map_is_refused_unread() -> None:
    with pytest.raises(ManifestError, match="at most"):
        decode_header_map(bytes(HEADER_MAP_BYTES_MAX + 1))
