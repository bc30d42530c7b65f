from __future__ import annotations

import numpy as np
import pytest

from core.errors import ManifestError
from core.ids import Digest
from images.chunktable import CHUNK_RECORD_BYTES, check_chunk_size, encode_table, parse_table

SLOTS = np.array([0, 3, 2**40], dtype=np.int64)
DIGESTS = [Digest(bytes([n]) * 32) for n in range(3)]


def test_a_table_round_trips_from_any_offset() -> None:
    data = b"x" * 5 + encode_table(SLOTS, DIGESTS)
    table = parse_table(data, 5, 3, SLOTS)
    assert table["slot"].tolist() == SLOTS.tolist()
    assert [bytes(digest) for digest in table["digest"]] == DIGESTS
    assert len(data) == 5 + 3 * CHUNK_RECORD_BYTES
    assert not table.flags.writeable


def test_an_empty_table_is_empty() -> None:
    none = np.empty(0, dtype=np.int64)
    assert encode_table(none, []) == b""
    assert len(parse_table(b"", 0, 0, none)) == 0


def test_slots_other_than_those_with_data_are_refused() -> None:
    data = encode_table(SLOTS, DIGESTS)
    with pytest.raises(ManifestError, match="chunk 1"):
        parse_table(data, 0, 3, np.array([0, 2, 2**40], dtype=np.int64))
    with pytest.raises(ManifestError, match="3 chunks"):
        parse_table(data, 0, 3, SLOTS[:2])


@pytest.mark.parametrize("digests", [DIGESTS[:2], [*DIGESTS[:2], Digest(b"short")]])
def test_each_slot_needs_one_whole_digest(digests: list[Digest]) -> None:
    with pytest.raises(ManifestError):
        encode_table(SLOTS, digests)


def test_chunk_sizes_are_powers_of_two_within_bounds() -> None:
    for power in range(16, 25):
        check_chunk_size(2**power)
    for wrong in (0, 1, 2**15, 2**16 + 1, 3 * 2**20, 2**25):
        with pytest.raises(ManifestError):
            check_chunk_size(wrong)
