"""What a run keeps lies in memory, and goes with it, or with the next run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.lab import scratch as module
from bench.lab.scratch import MEMORY_SHARE, remove_leftovers, scratch, targets_fit, where_kept
from bench.site import ROOT
from core.memory import free_memory_bytes

MIB = 1 << 20


def test_it_goes_away(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "image").write_bytes(bytes(MIB))
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_it_goes_away_after_a_fault(tmp_path: Path) -> None:
    seen: list[Path] = []

    def fail() -> None:
        with scratch(tmp_path) as folder:
            seen.append(folder)
            (folder / "image").write_bytes(bytes(MIB))
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        fail()
    assert not seen[0].exists()


def test_where_there_is_no_memory_it_lies_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", tmp_path / "nowhere")
    with scratch(tmp_path) as folder:
        assert folder.parent == tmp_path
    assert not folder.exists()


def test_what_a_killed_run_left_goes_and_what_is_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", tmp_path)
    left, other = tmp_path / "ogcast-lab-x", tmp_path / "of-somebody"
    for place in (left, other):
        place.mkdir()
        (place / "image").write_bytes(b"x")
    with scratch(tmp_path) as used:
        assert not left.exists()
        remove_leftovers(tmp_path)
        assert used.exists()
    assert list(tmp_path.iterdir()) == [other]


def test_what_a_run_left_that_was_killed_just_now_goes_too(tmp_path: Path) -> None:
    program = (
        "import os, signal, pathlib, sys\n"
        "from bench.lab import scratch\n"
        "scratch.MEMORY = pathlib.Path(sys.argv[1])\n"
        "with scratch.scratch(scratch.MEMORY):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_targets_are_kept_where_all_of_them_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = min(shutil.disk_usage(tmp_path).free, free_memory_bytes())
    assert targets_fit(tmp_path, 2, int(free * MEMORY_SHARE / 4))
    assert not targets_fit(tmp_path, 8, int(free * MEMORY_SHARE / 4))
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 1000)
    assert targets_fit(tmp_path, 2, 349)
    assert not targets_fit(tmp_path, 2, 350)
    assert where_kept(True) != where_kept(False)
