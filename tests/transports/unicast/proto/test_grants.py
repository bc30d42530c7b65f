"""Grants are values; a manifest is all the table a machine needs."""

from __future__ import annotations

from transports.conformance.sample import sample_image
from transports.unicast.proto.grants import ChunkTable, Grant


def test_a_manifest_is_a_chunk_table() -> None:
    manifest, store, _ = sample_image(chunks=2)
    with store:
        image: ChunkTable = manifest
        assert Grant(key=bytes(32), image=image).capture_bytes == 0
