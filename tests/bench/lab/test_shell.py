"""Names tell whose a lab is, and a lab whose process is gone is found."""

from __future__ import annotations

import os
import subprocess

import pytest

from bench.lab import shell
from bench.lab.plan import Step
from bench.lab.rig import Rig
from bench.lab.topology import room
from core.errors import OgcastError, UsageError

NEEDS_LAB = pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")


def test_a_lab_carries_the_process_id() -> None:
    assert shell.run_name(3) == f"run{os.getpid()}x3"


@pytest.mark.parametrize("name", ["", "a-b", "Lab", "lab/../../home", "x" * 25])
def test_a_name_that_would_not_be_found_again_or_lead_elsewhere_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="name of a lab"):
        shell.folder_of(name)
    if name:
        with pytest.raises(UsageError, match="name of a lab"):
            Rig(room(1, rate_bits_per_s=0), name=name)


def test_what_a_failing_command_said_is_told() -> None:
    with pytest.raises(OgcastError, match="nosuchfile"):
        shell.output_of(Step(words=("sysctl", "-n", "nosuchfile")))


@pytest.mark.root
@NEEDS_LAB
def test_a_dead_runs_lab_is_found_and_removed() -> None:
    child = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    lab = f"run{child.stdout.strip()}x1"
    shell.perform([Step(words=("ip", "netns", "add", f"oglab-{lab}-c1"))])
    try:
        assert lab in shell.leftovers()
    finally:
        assert shell.remove(lab) == 1
    assert lab not in shell.leftovers()
    assert shell.remove(lab) == 0


@pytest.mark.root
@NEEDS_LAB
def test_a_running_ones_lab_is_left_alone() -> None:
    lab = shell.run_name(999)
    shell.perform([Step(words=("ip", "netns", "add", f"oglab-{lab}-c1"))])
    try:
        assert lab not in shell.leftovers()
    finally:
        shell.remove(lab)
