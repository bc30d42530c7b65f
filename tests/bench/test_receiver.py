"""A receiver takes a whole image from a real daemon, says when it is ready and when it is done."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from bench.receiver import DONE, GO, READY
from bench.site import ROOT, Site


@pytest.mark.parametrize("mode", ["receive", "verify"])
def test_it_waits_for_the_word_and_takes_everything(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "source.img"
    source.write_bytes(random.Random(5).randbytes(9 << 20))
    site = Site(tmp_path)
    site.init()
    site.import_image(source, "image")
    with site.serve() as daemon:
        command = [sys.executable, "-m", "bench.receiver", str(site.repository / "client.toml"), daemon.url]
        done = subprocess.run([*command, "image", mode], cwd=ROOT, input=GO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [READY, DONE]
