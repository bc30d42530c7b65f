"""A line is read as typer reads it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from client.app import app
from client.commands.ordering import ordering
from client.order import Order, read_order
from client.run import Options
from core.cli import run

WORDS = (
    *("restore", "deploy", "room1", "disk.img", "none", "full", "", "-", "--", "-h", "--help", "--debug", "x=y"),
    *("--json", "--config", "--config=c", "--repo", "--repo=r", "--interface", "--interface=", "--met", "MULTICAST"),
    *("--method", "--method=A", "--options", "--protocol-options=o", "--cache", "--cache=/x", "--verify", "--verify=x"),
    *("--fallback", "--no-fallback", "--seed", "--no-seed", "--discard", "--discard=1"),
)
PLAIN = ["--config", "c", "restore", "room1", "disk.img", "--method", "MULTICAST-DIRECT"]


def _by_typer(line: list[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What typer makes of it; None for an error."""
    heard: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def hear(given: Options, order: Order) -> None:
        before = {name: getattr(given, name) for name in Options.__slots__}
        heard.append((before, vars(order)))

    with pytest.MonkeyPatch.context() as patch:
        (registered,) = [each for each in app.registered_commands if each.name == "restore"]
        patch.setattr(registered, "callback", ordering(hear))
        code = run(app, line)
    return heard[0] if code == 0 and heard else None


def _whole(before: Mapping[str, str | bool]) -> dict[str, Any]:
    config = before.get("config")
    given = {"repo": before.get("repo"), "interface": before.get("interface"), "json": before.get("json", False)}
    return {**given, "config": None if config is None else Path(str(config))}


@given(
    st.lists(st.sampled_from(("--json", "--config=c", "--repo", "r", "--interface=i")), max_size=3),
    st.lists(st.sampled_from(WORDS), max_size=7),
)
@example([], PLAIN)
@example(
    ["--json"], [*PLAIN, "--verify=full", "--no-seed", "--discard", "--no-fallback", "--options", "1:2", "--cache=/c"]
)
@example([], [*PLAIN, "--method", "again"])
@example([], ["restore", "a", "b", "--verify", "FULL"])
def test_what_is_read_is_what_typer_reads(before: list[str], rest: list[str]) -> None:
    line = [*before, *(rest if "restore" in rest else ["restore", *rest])]
    read = read_order(line)
    if read is not None:
        assert _by_typer(line) == (_whole(read[0]), vars(read[1]))


@pytest.mark.parametrize(
    "line",
    [
        PLAIN,
        ["--json", *PLAIN],
        ["restore", "room1", "disk.img"],
        [*PLAIN, "--verify", "sample", "--no-seed"],
        ["restore", "--method=AUTO", "a", "--discard", "b", "--options=9000:peer"],
    ],
)
def test_plain_lines_are_read(line: list[str]) -> None:
    assert read_order(line) is not None


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["restore"],
        ["restore", "a"],
        ["restore", "a", "b", "c"],
        ["restore", "a", "b", "--help"],
        ["restore", "a", "b", "--method"],
        ["restore", "a", "b", "--method="],
        ["restore", "a", "b", "--method", "-x"],
        ["restore", "a", "b", "--discard=1"],
        ["restore", "a", "b", "--no-seed", "--seed"],
        ["restore", "a", "b", "--json"],
        ["restore", "a", "b", "--verify", "some"],
        ["--debug", "restore", "a", "b"],
        ["--config"],
        ["deploy", "a", "b"],
    ],
)
def test_every_other_line_is_left_to_typer(line: list[str]) -> None:
    assert read_order(line) is None
