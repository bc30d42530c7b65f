"""What a pipeline cost is wall clock, CPU of every process in it, and peak memory; a failure is never a figure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure import peak_of, peak_rss_bytes, process_tree, run_pipeline, tree_cpu_s
from core.errors import OgcastError


def test_bytes_run_through_the_pipe(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"abc" * 100_000)
    cost = run_pipeline([["cat"], ["tr", "a", "x"]], stdin=source, stdout=target)
    assert target.read_bytes() == b"xbc" * 100_000
    assert cost.seconds > 0


def test_cpu_of_every_process_counts() -> None:
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.15: pass"]
    assert run_pipeline([burn, burn]).cpu_s >= 0.3


def test_an_existing_target_is_written_in_place(tmp_path: Path) -> None:
    target = tmp_path / "device"
    target.write_bytes(b"........")
    run_pipeline([["printf", "ab"]], stdout=target)
    assert target.read_bytes() == b"ab......"


def test_a_failing_command_is_named_with_what_it_said() -> None:
    with pytest.raises(OgcastError, match=r"sh ended with 3.*went wrong"):
        run_pipeline([["sh", "-c", "echo went wrong >&2; exit 3"]])


def test_the_tree_of_a_process_holds_its_children() -> None:
    with subprocess.Popen(["sh", "-c", "cat; :"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"x")
        shell.stdin.flush()
        assert shell.stdout.read(1) == b"x"  # now cat runs
        assert len(process_tree(shell.pid)) == 2
        shell.stdin.close()


def test_own_cpu_and_memory_are_seen() -> None:
    assert tree_cpu_s(os.getpid()) > 0
    assert peak_rss_bytes(os.getpid()) > 1 << 20


def test_peak_memory_is_that_of_the_command_alone() -> None:
    ballast = bytes(64 << 20)
    small = peak_of([sys.executable, "-c", "pass"])
    large = peak_of([sys.executable, "-c", "bytes(range(256)) * (200 << 12)"])
    assert small < len(ballast)
    assert large > 200 << 20
