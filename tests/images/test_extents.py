from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImageFileError, ManifestError
from images.extents import IMAGE_SIZE_MAX, MAX_EXTENTS, Extent, Extents, ExtentsBuilder, Kind

runs = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(Kind)), max_size=30)


def build(pairs: list[tuple[int, Kind]], **options: int) -> Extents:
    builder = ExtentsBuilder(**options)
    for length, kind in pairs:
        builder.add(length, kind)
    return builder.finish()


def spelled(pairs: list[tuple[int, Kind]]) -> list[Kind]:
    """The naive model: the kind of every byte."""
    return [kind for length, kind in pairs for _ in range(length)]


@given(runs)
def test_extents_say_of_every_byte_what_the_runs_said(pairs: list[tuple[int, Kind]]) -> None:
    extents = build(pairs)
    assert spelled([(extent.length, extent.kind) for extent in extents]) == spelled(pairs)
    assert extents.size == len(spelled(pairs))
    assert extents.data_bytes == spelled(pairs).count(Kind.DATA)


@given(runs, st.integers(-5, 1300), st.integers(-5, 1300))
def test_within_gives_the_clipped_runs(pairs: list[tuple[int, Kind]], start: int, stop: int) -> None:
    found = build(pairs).within(start, stop)
    start = max(start, 0)
    assert spelled([(extent.length, extent.kind) for extent in found]) == spelled(pairs)[start : max(stop, start)]
    position = start
    for extent in found:
        assert extent.start == position
        position = extent.stop


@given(runs, st.sampled_from([1, 2, 8, 64]))
def test_slots_with_data_are_those_of_the_data_bytes(pairs: list[tuple[int, Kind]], chunk_size: int) -> None:
    expected = sorted({byte // chunk_size for byte, kind in enumerate(spelled(pairs)) if kind is Kind.DATA})
    assert build(pairs).slots_with_data(chunk_size).tolist() == expected


@given(runs)
def test_records_round_trip(pairs: list[tuple[int, Kind]]) -> None:
    extents = build(pairs)
    assert Extents.from_bytes(extents.to_bytes(), len(extents), extents.size) == extents


@given(runs, st.integers(1, 6))
def test_the_builder_keeps_to_its_bound_and_turns_only_gaps_into_data(
    pairs: list[tuple[int, Kind]], bound: int
) -> None:
    builder = ExtentsBuilder(max_extents=bound)
    for length, kind in pairs:
        builder.add(length, kind)
    extents = builder.finish()
    assert len(extents) <= bound
    after = spelled([(extent.length, extent.kind) for extent in extents])
    changed = 0
    for was, now in zip(spelled(pairs), after, strict=True):
        assert now in (was, Kind.DATA)
        changed += was is not now
    assert (changed > 0) == (builder.coalesced > 0)


def test_the_smallest_skip_run_goes_first() -> None:
    extents = build([(9, Kind.DATA), (1, Kind.ZERO), (9, Kind.DATA), (3, Kind.SKIP), (9, Kind.DATA)], max_extents=3)
    assert list(extents) == [Extent(0, 9, Kind.DATA), Extent(9, 1, Kind.ZERO), Extent(10, 21, Kind.DATA)]


def test_a_million_runs_are_kept_as_they_are() -> None:
    builder = ExtentsBuilder()
    builder.extend(np.full(MAX_EXTENTS, 4096), np.arange(MAX_EXTENTS) % 2)
    extents = builder.finish()
    assert (len(extents), builder.coalesced) == (MAX_EXTENTS, 0)


def test_sizes_beyond_16_tib_are_exact() -> None:
    size = 2**50 + 511
    extents = build([(2**50, Kind.SKIP), (511, Kind.DATA)])
    assert extents.size == size
    assert extents.slots_with_data(2**22).tolist() == [2**28]
    assert Extents.from_bytes(extents.to_bytes(), 2, size) == extents


def test_an_empty_image_has_no_extents() -> None:
    assert list(Extents.all_data(0)) == []
    assert Extents.all_data(0).to_bytes() == b""
    assert Extents.all_data(0).within(0, 10) == []


@pytest.mark.parametrize(
    ("starts", "lengths", "kinds", "rule"),
    [
        ([0, 5], [6, 5], [0, 1], "overlapping"),
        ([0, 7], [6, 5], [0, 1], "gap"),
        ([1], [6], [0], "not at 0"),
        ([0, 6], [6, 5], [1, 1], "one kind"),
        ([0, 6], [6, 0], [0, 1], "without length"),
        ([0], [6], [3], "unknown kind"),
        ([0, 6], [6, IMAGE_SIZE_MAX], [0, 1], "beyond"),
        ([0], [6, 7], [0], "number"),
        (range(MAX_EXTENTS + 1), [1] * (MAX_EXTENTS + 1), [0] * (MAX_EXTENTS + 1), "at most"),
    ],
)
def test_extents_that_do_not_tile_the_image_are_refused(
    starts: list[int], lengths: list[int], kinds: list[int], rule: str
) -> None:
    with pytest.raises(ManifestError, match=rule):
        Extents(starts, lengths, kinds)


def test_more_chunks_than_the_format_allows_are_refused_without_memory_for_them() -> None:
    with pytest.raises(ManifestError, match="at most"):
        Extents.all_data(2**60).slots_with_data(65536)


def test_runs_beyond_the_largest_image_are_refused() -> None:
    builder = ExtentsBuilder()
    builder.add(IMAGE_SIZE_MAX, Kind.SKIP)
    with pytest.raises(ImageFileError):
        builder.add(1, Kind.SKIP)


@pytest.mark.parametrize("count", [-1, MAX_EXTENTS + 1])
def test_a_count_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(ManifestError):
        Extents.from_bytes(b"", count, 0)


def test_records_must_be_whole_and_cover_the_size() -> None:
    record = Extents.all_data(4096).to_bytes()
    with pytest.raises(ManifestError, match="records need"):
        Extents.from_bytes(record[:-1], 1, 4096)
    with pytest.raises(ManifestError, match="cover"):
        Extents.from_bytes(record, 1, 4097)
    with pytest.raises(ManifestError, match="beyond"):
        Extents.from_bytes(b"\xff" * 16, 1, 4096)


def test_a_long_walk_gives_the_same_runs_a_piece_at_a_time() -> None:
    count = 10_001  # more than are made at once
    extents = Extents.from_lengths([3] * count, [n % 2 for n in range(count)])
    whole = [Extent(3 * n, 3, Kind(n % 2)) for n in range(count)]
    assert list(extents) == whole
    clipped = extents.within(1, 3 * count - 1)
    assert clipped == [Extent(1, 2, Kind.DATA), *whole[1:-1], Extent(3 * count - 3, 2, Kind.DATA)]


def test_the_alignment_divides_every_start() -> None:
    assert Extents.from_lengths([4096, 512, 4096], [0, 1, 2]).alignment == 512
    assert Extents.from_lengths([4096, 8192], [0, 1]).alignment == 4096
    assert Extents.all_data(1000).alignment == 0
    assert Extents.all_data(0).alignment == 0
