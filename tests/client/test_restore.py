"""A restore whose line is plain is the same restore, with less imported; tests/client/commands runs the rest."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client import restore as module
from client.order import Order
from client.restore import restore_plain
from client.run import Options
from tests.client.conftest import IMAGE_SIZE, ROOT, Room


def test_the_options_before_the_command_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Options] = []
    monkeypatch.setattr(module, "execute", lambda given, main: heard.append(given))
    order = Order(name="a", target="b")
    restore_plain({}, order)
    restore_plain({"config": "c.toml", "repo": "r", "interface": "i", "json": True}, order)
    assert heard == [Options(), Options(config=Path("c.toml"), repo="r", interface="i", json=True)]


@pytest.mark.parametrize("method", ["UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT"])
def test_a_short_restore_needs_no_typer_no_http_client_and_no_tomllib(room: Room, tmp_path: Path, method: str) -> None:
    target = tmp_path / "disk.img"
    line = ["--config", str(room.config), "--repo", room.url, "restore", "room1", str(target), "--method", method]
    code = f"""
import sys
from client import __main__
__main__.leave = lambda code: print(code, sorted({{"typer", "aiohttp", "tomllib"}} & set(sys.modules)))
sys.argv = ["ogcast", *{[*line, "--no-seed"]!r}]
__main__.main()
"""
    environ = {**os.environ, "OGCAST_STATE_DIR": str(room.state)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environ)
    ended, _, loaded = done.stdout.splitlines()[-1].partition(" ")
    assert (ended, ast.literal_eval(loaded)) == ("0", []), done.stderr
    assert target.read_bytes() == room.image.expected_on(bytes(IMAGE_SIZE))


def test_an_error_of_a_plain_line_is_told_as_ever(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("restore", "room1", tmp_path / "x", "--method", "NOBODY-DIRECT")
    assert (ended.code, ended.last["event"], ended.last["code"]) == (1, "error", 1)
    assert ended.errors.startswith("error: ")
    assert "\nhint: " in ended.errors
