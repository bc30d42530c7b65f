"""Manifest: the signed description of one image version.

The parsed form keeps the exact bytes it came from: they are what the root digest covers, what is stored and sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import zstandard
from blake3 import blake3
from msgspec.structs import replace
from numpy.typing import NDArray

from core.errors import ChunkError, ManifestError
from core.ids import ChunkIndex, Digest, ImageRef
from images.chunktable import CHUNK_RECORD_BYTES, check_chunk_size, encode_table, parse_table
from images.codec import decode_frame
from images.digest import DIGEST_BYTES
from images.digest_list import DigestList, first_of_each
from images.extents import EXTENT_RECORD_BYTES, Extents
from images.headermap import FileSystem, HeaderMap, decode_header_map, encode_header_map
from images.manifest_layout import ManifestLayout
from images.signing import SIGNATURES_BYTES_MAX, Signature, SigningKey, key_id, parse_signatures, verify_root

__all__ = ["FileSystem", "Manifest", "encode_manifest", "parse_manifest", "restamp", "sign_manifest"]

_EXTENTS_LEVEL = 9
"""Extents are small and read by every client: worth a little more of the importer's time."""
_AT_ONCE = 1024
"""Chunks of one question to an index: milliseconds, so that others who ask it hardly wait."""
_SLOT_BYTES = CHUNK_RECORD_BYTES - DIGEST_BYTES


class Manifest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One image version. Made by `parse_manifest`; immutable and safe to share between threads."""

    name: str
    version: int
    created: str
    """RFC 3339, UTC."""
    tool: str
    """Program and version that made the image."""
    source: str
    """Kind of source: raw, partclone, device, qcow2 …"""
    size: int
    """Image size in bytes."""
    chunk_size: int
    """Bytes of a slot."""
    block_size: int
    """Allocation unit of the file system in bytes, or 512."""
    sector_size: int
    """Logical sector of the source in bytes."""
    fs: FileSystem
    data_bytes: int
    """Sum of the DATA lengths."""
    extents: Extents
    table: NDArray[np.void]
    """One record a chunk: `slot` (u64) and `digest` (32 bytes); read-only."""
    root: bytes
    """BLAKE3-256 that the signatures cover."""
    signatures: tuple[Signature, ...]
    data: bytes
    """The exact bytes of the manifest file."""
    table_at: int
    """Offset of the chunk table in `data`."""

    @property
    def ref(self) -> ImageRef:
        """name@version."""
        return ImageRef(self.name, self.version)

    @property
    def chunk_count(self) -> int:
        """Chunks of the image (slots without DATA are none)."""
        return len(self.table)

    def digest(self, chunk: ChunkIndex | int) -> Digest:
        """Digest of a chunk; IndexError if there is no such chunk."""
        at = self._record(chunk) + _SLOT_BYTES
        return Digest(self.data[at : at + DIGEST_BYTES])

    def digests(self) -> DigestList:
        """Digests of all chunks, in order (a digest may be there many times); a view, not a copy."""
        return DigestList(self.data, first=self.table_at + _SLOT_BYTES, step=CHUNK_RECORD_BYTES, count=self.chunk_count)

    def distinct(self, *, at_once: int = _AT_ONCE) -> Iterator[list[ChunkIndex]]:
        """The first chunk with each digest, rising, in lists of at most `at_once`: what asks an index walks these."""
        firsts = first_of_each(self.table["digest"])
        for at in range(0, len(firsts), at_once):
            yield [ChunkIndex(chunk) for chunk in firsts[at : at + at_once].tolist()]

    def slot(self, chunk: ChunkIndex | int) -> int:
        """Slot of a chunk; IndexError if there is no such chunk."""
        at = self._record(chunk)
        return int.from_bytes(self.data[at : at + _SLOT_BYTES], "little")

    def span(self, chunk: ChunkIndex | int) -> tuple[int, int]:
        """The byte range [start, stop) of the image that a chunk covers."""
        start = self.slot(chunk) * self.chunk_size
        return start, min(start + self.chunk_size, self.size)

    def raw_length(self, chunk: ChunkIndex | int) -> int:
        """Uncompressed bytes of a chunk."""
        start, stop = self.span(chunk)
        return stop - start

    def chunk_of_slot(self, slot: int) -> ChunkIndex | None:
        """The chunk that lies in a slot, or None if the slot holds no DATA."""
        slots = self.table["slot"]
        at = int(np.searchsorted(slots, np.uint64(slot)))
        return ChunkIndex(at) if at < len(slots) and int(slots[at]) == slot else None

    def encode(self) -> bytes:
        """The exact bytes of the manifest file."""
        return self.data

    def verify(self, public_key: bytes) -> None:
        """Raise ManifestError unless the manifest carries a valid signature by `public_key` (32 bytes)."""
        verify_root(self.root, self.signatures, public_key)

    def is_signed_by(self, public_key: bytes) -> bool:
        """Whether a signature says it is by `public_key`; only `verify` proves it."""
        wanted = key_id(public_key)
        return any(signature.key_id == wanted for signature in self.signatures)

    def _record(self, chunk: int) -> int:
        if not 0 <= chunk < len(self.table):
            raise IndexError(f"chunk {chunk} of an image of {len(self.table)}")
        return self.table_at + chunk * CHUNK_RECORD_BYTES


def encode_manifest(
    *,
    name: str,
    version: int,
    created: str,
    tool: str,
    source: str,
    size: int,
    chunk_size: int,
    block_size: int,
    sector_size: int,
    fs: FileSystem,
    extents: Extents,
    digests: Sequence[Digest],
) -> bytes:
    """The unsigned manifest of an image; `digests` are those of its chunks in slot order.

    Raises UsageError for an illegal name, ManifestError when the parts do not fit together.
    """
    check_chunk_size(chunk_size)
    if extents.size != size:
        raise ManifestError(f"extents cover {extents.size} bytes of an image of {size}")
    header = HeaderMap(
        name=name,
        version=version,
        created=created,
        tool=tool,
        source=source,
        block_size=block_size,
        sector_size=sector_size,
        fs=fs,
        data_bytes=extents.data_bytes,
    )
    table = encode_table(extents.slots_with_data(chunk_size), digests)
    stored = zstandard.ZstdCompressor(level=_EXTENTS_LEVEL).compress(extents.to_bytes()) if len(extents) else b""
    layout = ManifestLayout(
        size=size,
        chunk_size=chunk_size,
        extents=len(extents),
        chunks=len(digests),
        map_bytes=0,
        extents_bytes=len(stored),
    )
    return _assemble(layout, encode_header_map(header), stored, table)


def parse_manifest(data: bytes | bytearray | memoryview) -> Manifest:
    """Parse a whole manifest. Every length is checked before memory is taken for it. Raises ManifestError.

    Signatures are parsed, not checked: see `Manifest.verify`.
    """
    data = bytes(data)
    layout = ManifestLayout.parse(data)
    header, _ = decode_header_map(data[layout.map_at : layout.extents_at])
    extents = _parse_extents(data, layout)
    if any(data[layout.padding_at : layout.table_at]):
        raise ManifestError("padding of the manifest is not zero")
    if header.data_bytes != extents.data_bytes:
        raise ManifestError(f"manifest states {header.data_bytes} bytes of DATA, its extents have {extents.data_bytes}")
    table = parse_table(data, layout.table_at, layout.chunks, extents.slots_with_data(layout.chunk_size))
    return Manifest(
        name=header.name,
        version=header.version,
        created=header.created,
        tool=header.tool,
        source=header.source,
        size=layout.size,
        chunk_size=layout.chunk_size,
        block_size=header.block_size,
        sector_size=header.sector_size,
        fs=header.fs,
        data_bytes=header.data_bytes,
        extents=extents,
        table=table,
        root=_root(data, layout),
        signatures=parse_signatures(data[layout.signatures_at :]),
        data=data,
        table_at=layout.table_at,
    )


def sign_manifest(data: bytes, key: SigningKey) -> bytes:
    """The same manifest with a signature by `key`; signatures of other keys stay, an older one of this key goes."""
    manifest = parse_manifest(data)
    added = key.sign_root(manifest.root)
    kept = [signature for signature in manifest.signatures if signature.key_id != added.key_id]
    section = b"".join(signature.encode() for signature in [*kept, added])
    if len(section) > SIGNATURES_BYTES_MAX:
        raise ManifestError(f"manifest with {len(kept)} signatures has no room for one more")
    layout = replace(ManifestLayout.parse(data), signatures_bytes=len(section))
    return b"".join((layout.encode(), memoryview(data)[layout.map_at : layout.signatures_at], section))


def restamp(data: bytes, *, version: int | None = None, name: str | None = None, created: str | None = None) -> bytes:
    """An unsigned copy of a manifest under another name, version or time; all else stays, unknown keys too."""
    layout = ManifestLayout.parse(data)
    _, values = decode_header_map(data[layout.map_at : layout.extents_at])
    changes: dict[str, object] = {"name": name, "version": version, "created": created}
    values.update({key: value for key, value in changes.items() if value is not None})
    view = memoryview(data)
    return _assemble(
        layout,
        encode_header_map(values),
        view[layout.extents_at : layout.padding_at],
        view[layout.table_at : layout.signatures_at],
    )


def _assemble(
    layout: ManifestLayout, header_map: bytes, extents: bytes | memoryview, table: bytes | memoryview
) -> bytes:
    layout = replace(layout, map_bytes=len(header_map), signatures_bytes=0)
    return b"".join((layout.encode(), header_map, extents, bytes(layout.table_at - layout.padding_at), table))


def _parse_extents(data: bytes, layout: ManifestLayout) -> Extents:
    stored = memoryview(data)[layout.extents_at : layout.padding_at]
    if not layout.extents:
        if layout.extents_bytes:
            raise ManifestError("an extents section where there are no extents")
        return Extents.from_bytes(b"", 0, layout.size)
    try:
        records = decode_frame(stored, layout.extents * EXTENT_RECORD_BYTES)
    except ChunkError as error:
        raise ManifestError(f"extents section: {error}") from None
    return Extents.from_bytes(records, layout.extents, layout.size)


def _root(data: bytes, layout: ManifestLayout) -> bytes:
    """BLAKE3-256 of what lies before the signatures, with the length of the signature section taken as zero."""
    digest = blake3(replace(layout, signatures_bytes=0).encode())
    digest.update(memoryview(data)[layout.map_at : layout.signatures_at])
    return digest.digest()
