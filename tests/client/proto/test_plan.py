from __future__ import annotations

import random

from client.proto.plan import RestorePlan
from images.extents import Extents
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from tests.support.images import make_image

CHUNK = 65536


def _plan() -> RestorePlan:
    # chunk 0: DATA 4 KiB, SKIP the rest; slot 1: ZERO only; chunk 1 (slot 2): ZERO 4 KiB, DATA to the end
    extents = Extents.from_lengths([4096, CHUNK - 4096, CHUNK + 4096, CHUNK], [0, 2, 1, 0])
    with MemoryStore() as store:
        return RestorePlan(parse_manifest(make_image(store, extents).manifest))


def test_only_data_is_written_and_only_skip_is_masked() -> None:
    plan = _plan()
    assert plan.data_runs(0) == [(0, 4096)]
    assert plan.free_runs(0) == [(4096, CHUNK - 4096)]
    assert plan.data_runs(1) == [(2 * CHUNK + 4096, CHUNK - 4096)]
    assert plan.free_runs(1) == []


def test_zero_and_skip_are_named_over_the_whole_image() -> None:
    plan = _plan()
    assert list(plan.zero_ranges()) == [(CHUNK, 2 * CHUNK + 4096)]
    assert list(plan.skip_ranges()) == [(4096, CHUNK)]


def test_what_is_there_is_not_wanted() -> None:
    assert list(_plan().want({0})) == [1, 2]
    assert len(_plan().want()) == 3


def test_a_sample_has_both_ends_and_no_more_than_asked() -> None:
    with MemoryStore() as store:
        plan = RestorePlan(parse_manifest(make_image(store, Extents.all_data(50 * CHUNK)).manifest))
    sample = plan.sample(10, random.Random(1))
    assert len(sample) == 10
    assert sample == sorted(sample)
    assert (sample[0], sample[-1]) == (0, 49)
    assert plan.sample(100, random.Random(1)) == list(range(50))
