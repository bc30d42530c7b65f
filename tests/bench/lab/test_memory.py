"""Memory is found for every host of a race, given back but for a page here and there, and is never more than a share of
what there is."""

from __future__ import annotations

import resource

import pytest

from bench.lab import memory
from bench.lab.memory import HELD_EVERY_BYTES, HOST_BYTES, SHARE, find_memory

PAGE_BYTES = resource.getpagesize()


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * PAGE_BYTES


def test_it_is_found_for_each_host_and_all_but_some_pages_belong_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HOST_BYTES", 256 << 20)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 4 << 30)
    faults, before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, resident_bytes()
    with find_memory(3) as found:
        assert found == 768 << 20
        touched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        assert touched >= found // PAGE_BYTES
        held = resident_bytes() - before
        assert found // HELD_EVERY_BYTES * PAGE_BYTES <= held + (1 << 20) < 16 << 20
    assert resident_bytes() - before < 8 << 20


def test_a_machine_with_little_memory_left_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    left = 4 * SHARE * PAGE_BYTES + 100
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: left)
    with find_memory(8) as found:
        assert found == 4 * PAGE_BYTES
    assert 4 * PAGE_BYTES < HOST_BYTES


@pytest.mark.parametrize("more", [0, 1])
def test_a_last_page_that_is_held_has_none_behind_it(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    monkeypatch.setattr(memory, "HOST_BYTES", HELD_EVERY_BYTES + PAGE_BYTES * (1 + more))
    with find_memory(1) as found:
        assert found == HELD_EVERY_BYTES + PAGE_BYTES * (1 + more)


def test_a_machine_with_none_left_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: SHARE * PAGE_BYTES - 1)
    with find_memory(8) as found:
        assert found == 0
