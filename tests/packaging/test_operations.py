"""The operator's page lists every key, metric and exit code there is."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from client.config import ClientSettings
from core import errors
from core.config import Loaded, render
from repod.settings import Settings
from transports.multicast.settings import MulticastSettings
from transports.p2p.settings import SwarmSettings
from transports.unicast.settings import UnicastSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def _first_column(heading: str) -> set[str]:
    section = PAGE.partition(f"\n{heading}")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE))


def test_every_key_of_repod_toml_is_documented() -> None:
    dotted = {field.name for field in dataclasses.fields(Settings)} - {"limits", "torrents"}
    dotted |= {f"limits.{field.name}" for field in dataclasses.fields(Settings().limits)}
    dotted |= {f"torrents.{field.name}" for field in dataclasses.fields(Settings().torrents)}
    unicast = {field.name for field in dataclasses.fields(UnicastSettings)}
    multicast = {field.name for field in dataclasses.fields(MulticastSettings)}
    p2p = {field.name for field in dataclasses.fields(SwarmSettings)}
    assert _first_column("## Settings of repod") == dotted | unicast | multicast | p2p


def test_defaults_on_the_page_are_the_defaults() -> None:
    origins = dict.fromkeys(_first_column("## Settings of repod"), "default")
    text = render(Loaded(value=Settings(), origins=origins | {"transports": "default"}))
    for name, value in re.findall(r"^(\w+) = (\d+)(?:\.0)?  #", text, re.MULTILINE):
        assert re.search(rf"^\| `(limits\.|torrents\.)?{name}` \| {value} \|", PAGE, re.MULTILINE), name


def test_every_key_of_client_toml_is_documented() -> None:
    assert _first_column("## Settings of ogcast") == {field.name for field in dataclasses.fields(ClientSettings)}


def test_every_exit_code_is_documented() -> None:
    codes = {kind.exit_code for _, kind in inspect.getmembers(errors, inspect.isclass)}
    section = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in row.split(",")}
    assert listed == codes | {0, 130, 143}


def test_every_event_of_ogcast_is_documented() -> None:
    page = (ROOT / "docs" / "client.md").read_text().partition("## Events of")[2]
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    halves = [*(ROOT / "client").rglob("*.py"), *(ROOT / "transports").glob("*/client.py")]
    halves += [*(ROOT / "transports").glob("*/incoming.py"), *(ROOT / "transports" / "p2p").glob("giving.py")]
    told = {name for path in halves for name in re.findall(r"(?:\bevent|_event)\(\s*\"([a-z-]+)\"", path.read_text())}
    assert len(told) > 15
    assert told <= listed
