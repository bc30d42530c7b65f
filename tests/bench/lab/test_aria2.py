"""aria2 really takes an image that repod publishes, over the rig."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.aria2 import TORRENTS_PORT, aria2_installed, run_aria2, with_torrents
from bench.lab.classroom import Classroom, random_image
from bench.lab.rig import Rig
from bench.lab.swarming import with_offload
from bench.lab.topology import room
from core.errors import OgcastError

CAN_RUN = pytest.mark.skipif(
    bool(shell.missing()) or not aria2_installed(), reason=shell.missing() or "aria2 is a peer of the bench"
)


def test_the_setting_is_changed_where_it_stands() -> None:
    assert (
        with_torrents("[torrents]\n#http_port = 0\n\n#x = 1\n")
        == f"[torrents]\nhttp_port = {TORRENTS_PORT}\n\n#x = 1\n"
    )


def test_a_setting_that_is_not_there_is_no_silent_success() -> None:
    with pytest.raises(OgcastError, match="http_port"):
        with_torrents("[torrents]\n")


@pytest.mark.root
@CAN_RUN
def test_two_receivers_get_the_file(tmp_path: Path) -> None:
    classroom = Classroom(tmp_path, random_image(tmp_path / "source.img", 4 << 20))
    with (
        Rig(with_offload(room(2, rate_bits_per_s=200e6))) as rig,
        classroom.open(rig, change=with_torrents) as lesson,
    ):
        run = run_aria2(lesson, ["c1", "c2"], folder=tmp_path, timeout_s=60)
    assert run.complete
    assert run.wrong == ()
    assert sorted(run.each_s) == ["c1", "c2"]
    assert list(tmp_path.glob("aria2-c*")) == []
