"""Which command lines are understood before typer is there."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from client.wish import read_wish
from core.errors import OgcastError
from transports.methods import Target, parse_method

DIRECT = ["restore", "room1", "disk.img", "--method", "MULTICAST-DIRECT"]
WISH = {
    "image": "room1",
    "method": "MULTICAST-DIRECT",
    "options": "",
    "config": None,
    "repo": None,
    "interface": None,
}


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        (DIRECT, WISH),
        (["--json", "--debug", *DIRECT], WISH),
        (
            ["--config=c.toml", "--repo", "r:1", "--interface", "eth0", "deploy", "a@2", "--method=multicast-direct"],
            {
                "image": "a@2",
                "method": "multicast-direct",
                "options": "",
                "config": "c.toml",
                "repo": "r:1",
                "interface": "eth0",
            },
        ),
        (
            [*DIRECT, "--options", "9000:full:239.1.1.1:70M:50:60"],
            {**WISH, "options": "9000:full:239.1.1.1:70M:50:60"},
        ),
        ([], None),
        (["--help"], None),
        (["--config"], None),
        (["restore"], None),
        (["restore", "--method", "MULTICAST-DIRECT", "room1", "disk.img"], None),
        (["restore", "room1", "disk.img"], None),
        (["restore", "room1", "disk.img", "--method"], None),
        (["restore", "room1", "disk.img", "--method", "MULTICAST-CACHE"], None),
        (["restore", "room1", "disk.img", "--method", "??"], None),
        (["update-cache", "room1", "--method", "MULTICAST-DIRECT"], None),
        (["restore", "room1", "disk.img", "--method", "auto"], {**WISH, "method": "AUTO-DIRECT"}),
        (["restore", "room1", "disk.img", "--method", "AUTO-DIRECT"], {**WISH, "method": "AUTO-DIRECT"}),
        (["deploy", "room1", "disk.img", "--method", "AUTO"], None),
        ([*DIRECT, "--help"], None),
    ],
)
def test_only_a_plain_direct_restore_is_opened_early(line: list[str], wish: dict[str, Any] | None) -> None:
    read = read_wish(line)
    assert (None if read is None else vars(read)) == wish


@pytest.mark.parametrize("method", ["MULTICAST-DIRECT", " torrent-direct ", "AUTO-DIRECT", "X1-DIRECT"])
def test_methods_are_read_as_everywhere_else(method: str) -> None:
    read = read_wish(["restore", "room1", "disk.img", "--method", method])
    assert read is not None
    parsed = parse_method(method)
    assert (read.protocol, read.chooses) == (parsed.protocol, parsed.chooses)
    assert parsed.target is Target.DIRECT


@pytest.mark.parametrize("method", ["-DIRECT", "A B-DIRECT", "MULTICAST-DIRECT-DIRECT", "MULTICAST"])
def test_what_is_no_direct_method_is_none_here(method: str) -> None:
    assert read_wish(["restore", "room1", "disk.img", "--method", method]) is None
    with contextlib.suppress(OgcastError):
        assert parse_method(method).target is not Target.DIRECT
