from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import IMAGE_SIZE, ROOT, Room


@pytest.mark.parametrize("method", ["UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT"])
def test_all_that_a_restore_imports_of_ours_is_in_the_bundle(room: Room, tmp_path: Path, method: str) -> None:
    bundle, target = tmp_path / "bundle", tmp_path / "disk.img"
    subprocess.run([sys.executable, "-m", "client.bundling", str(bundle)], cwd=ROOT, check=True, capture_output=True)
    target.write_bytes(bytes(IMAGE_SIZE))
    line = ["--config", str(room.config), "--repo", room.url, "restore", "room1", str(target), "--method", method]
    code = f"""
import sys
import core.bundle
before = set(sys.modules)
core.bundle.bundle_path = lambda package: {str(bundle)!r}
from client import __main__
__main__.leave = lambda code: print(code, [
    name for name, module in sys.modules.items()
    if name.partition(".")[0] in ("core", "images", "transports", "client", "numpy")
    and name not in before and hasattr(module, "__cached__") and module.__file__.endswith(".py")
    and module.__cached__ != {str(bundle)!r}
])
sys.argv = ["ogcast", *{[*line, "--no-seed"]!r}]
__main__.main()
"""
    environ = {**os.environ, "OGCAST_STATE_DIR": str(room.state)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environ)
    ended, _, others = done.stdout.splitlines()[-1].partition(" ")
    assert ended == "0", done.stderr
    # what runs before the bundle can be used
    first = {"client", "client.__main__", "core.startup", "core.numpy_types", "core.errors"}
    assert set(ast.literal_eval(others)) <= first
    assert target.read_bytes() == room.image.expected_on(bytes(IMAGE_SIZE))


def test_where_nothing_may_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = [sys.executable, "-m", "client.bundling", str(tmp_path / "file" / "bundle")]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 40
    assert done.stderr.startswith("error: ")
    assert str(tmp_path / "file") in done.stderr
