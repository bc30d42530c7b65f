"""Header map of a manifest: the values a person or a later version may add to, as canonical MessagePack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from core.errors import ManifestError, UsageError
from core.ids import VERSION_MAX, check_image_name

__all__ = ["HEADER_MAP_BYTES_MAX", "FileSystem", "HeaderMap", "decode_header_map", "encode_header_map"]

HEADER_MAP_BYTES_MAX = 1024 * 1024
_KNOWN_CRITICAL: frozenset[str] = frozenset()
_CREATED = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d{1,9})?Z", re.ASCII)

_Text = Annotated[str, msgspec.Meta(max_length=1024)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class FileSystem(msgspec.Struct, frozen=True, kw_only=True):
    """The file system an image holds; empty strings for what is not known."""

    type: _Text = ""
    """As blkid names it: ext4, ntfs, vfat …"""
    label: _Text = ""
    uuid: _Text = ""


class HeaderMap(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of format version 1."""

    name: str
    version: Annotated[int, msgspec.Meta(ge=1, le=VERSION_MAX)]
    created: str
    """RFC 3339, UTC, ending in Z."""
    tool: _Text
    source: _Text
    block_size: _Size
    """Allocation unit of the file system in bytes, or 512."""
    sector_size: _Size
    """Logical sector of the source in bytes."""
    fs: FileSystem
    data_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    """Sum of the DATA lengths."""


def encode_header_map(values: HeaderMap | Mapping[str, object]) -> bytes:
    """Canonical MessagePack of a header map.

    Raises UsageError for an illegal name, ManifestError for other values no reader would accept.
    """
    header = msgspec.to_builtins(values) if isinstance(values, HeaderMap) else values
    check_image_name(str(header["name"]))
    encoded = msgspec.msgpack.encode(header, order="deterministic")
    decode_header_map(encoded)
    return encoded


def decode_header_map(data: bytes | memoryview) -> tuple[HeaderMap, dict[str, object]]:
    """Parse the header map: its known keys, and all keys as they are. Raises ManifestError."""
    if len(data) > HEADER_MAP_BYTES_MAX:
        raise ManifestError(f"header map of {len(data)} bytes (at most {HEADER_MAP_BYTES_MAX} are allowed)")
    try:
        values = msgspec.msgpack.decode(data)
        canonical = msgspec.msgpack.encode(values, order="deterministic") == bytes(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as error:
        raise ManifestError(f"header map cannot be read: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ManifestError("header map is not a map from strings")
    if not canonical:
        raise ManifestError("header map is not in canonical form (keys sorted, none twice, shortest encodings)")
    unknown = [key for key in values if key.startswith("!") and key not in _KNOWN_CRITICAL]
    if unknown:
        raise ManifestError(
            f"manifest needs a feature this version does not know: {unknown[0][:64]!a}", hint="update ogcast"
        )
    try:
        header = msgspec.convert(values, HeaderMap)
        check_image_name(header.name)
    except msgspec.ValidationError as error:
        raise ManifestError(f"header map: {error}") from None
    except UsageError as error:
        raise ManifestError(f"header map: {error}", hint=error.hint) from None
    if not _CREATED.fullmatch(header.created):
        raise ManifestError(f"header map: not a time in UTC: {header.created[:64]!a}")
    return header, values
