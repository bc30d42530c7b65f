"""The facts that make a figure comparable are all there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.machine import commit_of, machine_facts


def test_the_facts_name_machine_versions_and_commit() -> None:
    facts = machine_facts()
    for name in ("cpu", "cores", "memory_gib", "kernel", "python", "commit", "date", "zstandard"):
        assert facts[name]


def test_a_result_that_was_saved_makes_no_dirty_checkout(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    (tmp_path / "bench/results").mkdir(parents=True)
    code, result = tmp_path / "code.py", tmp_path / "bench/results/one.json"
    code.write_text("1")
    result.write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    clean = commit_of(tmp_path)
    result.write_text("2")
    assert commit_of(tmp_path) == clean
    code.write_text("2")
    assert commit_of(tmp_path) == f"{clean}-dirty"
