"""A slow disk is slow for those that are held back, and leaves no group behind."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from bench.lab.slow_disk import slow_disk, why_not
from bench.loops import loops_usable

MIB = 1 << 20


@pytest.mark.root
@pytest.mark.skipif(bool(why_not()) or not loops_usable(), reason=why_not() or "needs root and loop devices")
def test_writing_takes_the_time_it_is_told(tmp_path: Path) -> None:
    with slow_disk(tmp_path / "disk.img", size=8 * MIB, write_bytes_per_s=4 * MIB) as disk:
        write = f"read go; exec dd if=/dev/zero of={disk.device} bs=1M count=4 oflag=direct status=none"
        writer = subprocess.Popen(["sh", "-c", write], stdin=subprocess.PIPE)
        disk.hold_back(writer.pid)
        began = time.monotonic()
        writer.communicate(b"go\n")
        took = time.monotonic() - began
        group = disk.group
    assert writer.returncode == 0
    assert took > 0.5
    assert not group.exists()
