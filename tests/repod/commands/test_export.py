"""repod export: the bytes come back, in every format."""

from __future__ import annotations

import random
import subprocess

import pytest

CONTENT = random.Random(2).randbytes(300_000)


def test_raw_is_the_image(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "win", tmp_path / "out").code == 0
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.tools("zstd")
def test_zst_is_read_by_zstd(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "win@1", tmp_path / "out.zst", "--format", "zst").code == 0
    assert subprocess.run(["zstd", "-dcq", tmp_path / "out.zst"], capture_output=True).stdout == CONTENT


def test_wrong_names_and_formats_write_nothing(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "linux", tmp_path / "out").code == 2
    assert repod("export", layout.root, "win", tmp_path / "out", "--format", "tar").code == 1
    assert not (tmp_path / "out").exists()
