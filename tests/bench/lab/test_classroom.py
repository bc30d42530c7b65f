"""Real daemon, real clients: a lesson times them, compares their targets and sees one that went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.classroom import Classroom, difference, random_image
from bench.lab.rig import Rig
from bench.lab.topology import room
from bench.loops import loop_device, loops_usable
from images.extents import Extents

MIB = 1 << 20


def test_a_random_image_has_its_size(tmp_path: Path) -> None:
    assert random_image(tmp_path / "image", 3 * MIB + 5).stat().st_size == 3 * MIB + 5


def test_an_image_has_the_chunks_asked_for(tmp_path: Path) -> None:
    classroom = Classroom(tmp_path, random_image(tmp_path / "source.img", 4 * MIB), chunk_bytes=MIB)
    assert len(classroom.frames) == 4


@pytest.mark.root
@pytest.mark.skipif(not loops_usable(), reason="needs root and loop devices")
def test_a_device_is_compared_as_a_file_is(tmp_path: Path) -> None:
    source = random_image(tmp_path / "source.img", MIB)
    copy = tmp_path / "copy.img"
    copy.write_bytes(source.read_bytes())
    with loop_device(copy) as device:
        assert difference(source, device, Extents.all_data(MIB)) == ""
        with device.open("r+b") as file:
            file.write(b"no image begins so")
        assert difference(source, device, Extents.all_data(MIB)) == "the target differs at byte 0"
    copy.write_bytes(b"short")
    assert difference(source, copy, Extents.all_data(MIB)) == "the target has 5 bytes"


@pytest.mark.root
@pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")
def test_a_lesson_judges_its_clients(tmp_path: Path) -> None:
    size = 4 * MIB
    classroom = Classroom(tmp_path, random_image(tmp_path / "source.img", size))
    assert classroom.stored_bytes >= size  # it does not compress
    with Rig(room(2, rate_bits_per_s=100e6)) as rig, classroom.open(rig, multicast={}) as lesson:
        good = lesson.fetch(["c1", "c2"], method="UNICAST-DIRECT", timeout_s=60)
        assert good.complaints == ""
        assert 0 < good.last_began_s < good.seconds
        assert good.moved["server"].from_bytes > 2 * size
        assert good.clients["c1"].bytes_by("repository") == size
        assert list(tmp_path.glob("target-*")) == []  # eight of them would fill the memory

        plans = [(0.2, lambda: lesson.kill("c2"))]
        bad = lesson.fetch(["c1", "c2"], method="UNICAST-DIRECT", keep=False, timeout_s=60, plans=plans)
        assert bad.clients["c1"].complaint == ""
        assert "ended with -9" in bad.complaints
        assert bad.clients["c2"].began_s == bad.clients["c2"].finish.ended_s
