"""The facts that make a figure comparable are all there."""

from __future__ import annotations

from bench.machine import machine_facts


def test_the_facts_name_machine_versions_and_commit() -> None:
    facts = machine_facts()
    for name in ("cpu", "cores", "memory_gib", "kernel", "python", "commit", "date", "zstandard"):
        assert facts[name]
