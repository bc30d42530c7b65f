from __future__ import annotations

import pytest

from core.errors import ManifestError
from images.manifest_layout import MANIFEST_BYTES_MAX, ManifestLayout


def layout(**changes: int) -> ManifestLayout:
    values = {"size": 0, "chunk_size": 65536, "extents": 0, "chunks": 0, "map_bytes": 5, "extents_bytes": 0}
    return ManifestLayout(**{**values, **changes})


@pytest.mark.parametrize("map_bytes", range(9))
def test_the_table_starts_at_a_multiple_of_eight(map_bytes: int) -> None:
    made = layout(map_bytes=map_bytes, extents_bytes=3, chunks=2, signatures_bytes=76)
    assert made.table_at % 8 == 0
    assert 0 <= made.table_at - made.padding_at < 8
    assert made.total == made.table_at + 80 + 76


def test_a_head_round_trips() -> None:
    made = layout(size=2**61, extents=3, chunks=1, extents_bytes=20, signatures_bytes=76)
    head = made.encode()
    assert len(head) == 64
    assert ManifestLayout.parse(head + bytes(made.total - 64)) == made


def test_the_largest_head_fits_the_largest_manifest() -> None:
    made = layout(map_bytes=2**20, extents=2**20, chunks=2**22, extents_bytes=2**24, signatures_bytes=4096)
    assert made.total <= MANIFEST_BYTES_MAX
    with pytest.raises(ManifestError, match="truncated"):
        ManifestLayout.parse(made.encode())
