"""Memory is found for every host of a race, given back at once, and never more than a share of what there is."""

from __future__ import annotations

import resource

import pytest

from bench.lab import memory
from bench.lab.memory import HOST_BYTES, SHARE, find_memory

PAGE_BYTES = resource.getpagesize()


def test_it_is_found_for_each_host_and_belongs_to_nobody_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HOST_BYTES", 8 << 20)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[1])
    assert find_memory(3) == 24 << 20
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults >= (24 << 20) // (2 << 20)  # every page was touched; huge ones bring 2 MiB by one fault
    with open("/proc/self/statm", encoding="ascii") as statm:
        assert int(statm.read().split()[1]) - held < (8 << 20) // PAGE_BYTES


def test_a_machine_with_little_memory_left_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    left = 4 * SHARE * PAGE_BYTES + 100
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: left)
    assert find_memory(8) == 4 * PAGE_BYTES
    assert 4 * PAGE_BYTES < HOST_BYTES


def test_a_machine_with_none_left_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: SHARE * PAGE_BYTES - 1)
    assert find_memory(8) == 0
