"""The tools we are measured against really carry a file over the rig."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.peers import run_udpcast, run_uftp, udpcast_installed, uftp_installed
from bench.lab.rig import Rig
from bench.lab.topology import room

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.img"
    path.write_bytes(os.urandom(2 << 20))
    return path


@pytest.mark.skipif(not udpcast_installed(), reason="udpcast is a peer of the bench, not needed by ogcast")
def test_udpcast_carries_a_file(source: Path, tmp_path: Path) -> None:
    with Rig(room(2, rate_bits_per_s=100e6)) as rig:
        run = run_udpcast(rig, source, ["c1", "c2"], folder=tmp_path, timeout_s=20)
    assert run.complete
    assert run.wrong == ()
    assert run.seconds == max(run.each_s.values())
    assert list(tmp_path.glob("udpcast-*")) == []


@pytest.mark.skipif(not uftp_installed(), reason="uftp is a peer of the bench, not needed by ogcast")
def test_uftp_carries_a_file(source: Path, tmp_path: Path) -> None:
    with Rig(room(2, rate_bits_per_s=100e6)) as rig:
        run = run_uftp(rig, source, ["c1", "c2"], folder=tmp_path, rate_bits_per_s=100e6, timeout_s=20)
    assert run.complete
    assert run.wrong == ()
    assert 0.1 < run.seconds < 20
