"""What a command leaves behind to give on: a process of its own, which nobody waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from client.background import Heritage, start_seeder
from client.config import load_settings
from client.events import JsonReporter
from client.run import Options, Run
from client.seeders import running_seeders, seeders_folder
from core.errors import LocalError
from images.manifest import parse_manifest
from tests.client.conftest import PATIENCE_S, Ended, Room


def _seeding(ended: Ended) -> list[dict[str, Any]]:
    return [event for event in ended.events if event["event"] == "seeding"]


def _update(room: Room, cache: Path, *words: str) -> Ended:
    ended = room.ogcast("update-cache", "room1", "--method", "TORRENT-CACHE", "--cache", cache, *words)
    assert ended.code == 0, ended.errors
    return ended


def _gives(room: Room, told: dict[str, Any]) -> None:
    """Wait until the process of the event has entered the swarm."""
    deadline = time.monotonic() + PATIENCE_S
    while '"event":"seeding"' not in Path(told["log"]).read_text():
        assert time.monotonic() < deadline, Path(told["log"]).read_text()
        assert _lives(told["pid"]), Path(told["log"]).read_text()
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _is_over(told: dict[str, Any]) -> str:
    """What its log says last, when it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while _lives(told["pid"]):
        assert time.monotonic() < deadline, Path(told["log"]).read_text()
        time.sleep(0.02)
    return Path(told["log"]).read_text().splitlines()[-1]


def _only_from_peers(done: dict[str, Any]) -> bool:
    return all(source.startswith("peer ") for source in done["chunks_by_source"])


def test_the_cache_is_given_on_when_the_command_has_ended(room: Room, tmp_path: Path) -> None:
    first = _update(room, tmp_path / "cache-a")
    (told,) = _seeding(first)
    assert first.last["event"] == "done"
    assert told["options"] == "peer:60"
    assert os.getsid(told["pid"]) == told["pid"]  # no terminal, no shell takes it along
    _gives(room, told)
    second = _update(room, tmp_path / "cache-b", "--no-seed")
    assert _only_from_peers(second.last)
    assert second.last["chunks_fetched"] > 0
    assert _seeding(second) == []
    assert "nobody lacks anything" in _is_over(told)
    assert running_seeders(seeders_folder(room.state)) == []


def test_a_seeder_stays_and_one_is_enough(room: Room, tmp_path: Path) -> None:
    (told,) = _seeding(_update(room, tmp_path / "cache-a", "--options", "seeder"))
    _gives(room, told)
    (again,) = _seeding(_update(room, tmp_path / "cache-b", "--options", "seeder:300"))
    assert (again["pid"], again["already"]) == (told["pid"], True)
    assert _lives(told["pid"])
    os.kill(told["pid"], signal.SIGTERM)
    assert "seeding has ended" in _is_over(told)


def test_who_gives_for_longer_takes_the_place_of_who_ends_before(room: Room, tmp_path: Path) -> None:
    (short,) = _seeding(_update(room, tmp_path / "cache-a", "--options", "seeder:200"))
    _gives(room, short)
    (told,) = _seeding(_update(room, tmp_path / "cache-b", "--options", "seeder:300"))
    assert not told["already"]
    assert "seeding has ended" in _is_over(short)
    _gives(room, told)
    (note,) = running_seeders(seeders_folder(room.state))
    assert (note.pid, note.holds) == (told["pid"], str(tmp_path / "cache-b"))
    (again,) = _seeding(_update(room, tmp_path / "cache-a", "--options", "seeder:200"))
    assert (again["pid"], again["already"]) == (told["pid"], True)
    os.kill(told["pid"], signal.SIGTERM)
    assert "seeding has ended" in _is_over(told)


@pytest.mark.parametrize("options", ["leecher", "peer:0"])
def test_who_gives_nothing_leaves_nothing_behind(room: Room, tmp_path: Path, options: str) -> None:
    assert _seeding(_update(room, tmp_path / "cache-a", "--options", options)) == []


def test_other_methods_leave_nothing_behind(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", tmp_path / "cache-a")
    assert (ended.code, _seeding(ended)) == (0, [])


def test_a_direct_restore_hands_its_memory_over(room: Room, tmp_path: Path) -> None:
    first = room.ogcast("restore", "room1", tmp_path / "a.img", "--method", "TORRENT-DIRECT")
    assert first.code == 0, first.errors
    (told,) = _seeding(first)
    _gives(room, told)
    (note,) = running_seeders(seeders_folder(room.state))
    assert note.holds == str(tmp_path / "a.img")
    second = room.ogcast("restore", "room1", tmp_path / "b.img", "--method", "TORRENT-DIRECT", "--no-seed")
    assert second.code == 0, second.errors
    assert _only_from_peers(second.last)


def test_a_deployment_gives_while_it_restores(room: Room, tmp_path: Path) -> None:
    words = ["deploy", "room1", tmp_path / "a.img", "--method", "TORRENT-CACHE", "--cache", tmp_path / "cache-a"]
    ended = room.ogcast(*words)
    assert ended.code == 0, ended.errors
    names = [event.get("stage", event["event"]) for event in ended.events if event["event"] in ("seeding", "stage")]
    assert names.index("seeding") < names.index("restore")


def test_what_cannot_be_started_is_an_error_for_who_asks_and_costs_no_descriptor(room: Room, tmp_path: Path) -> None:
    settings = load_settings(room.config, repo=room.url, interface=None)
    blocked = tmp_path / "file"
    blocked.write_text("")
    manifest = parse_manifest(room.image.manifest)
    run = Run(settings=_with_state(settings, blocked), reporter=JsonReporter(), options=Options(config=room.config))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LocalError):
        start_seeder(run, manifest, "peer:60", Heritage(inherited=b"x"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_state_directory_that_cannot_be_written_is_a_warning(room: Room, tmp_path: Path) -> None:
    room.state = tmp_path / "file" / "state"
    (tmp_path / "file").write_text("")
    try:
        ended = _update(room, tmp_path / "cache-a")
        assert any(event["event"] == "warning" and "given to others" in event["message"] for event in ended.events)
    finally:
        room.state = tmp_path / "state"


def _with_state(settings: Any, state: Path) -> Any:
    import dataclasses

    return dataclasses.replace(settings, state_dir=state)


@pytest.mark.parametrize(("flag", "seeders"), [([], 0), (["--seed"], 1)])
def test_the_configuration_may_say_no_and_the_command_yes(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: list[str], seeders: int
) -> None:
    monkeypatch.setenv("OGCAST_SEED", "false")
    assert len(_seeding(_update(room, tmp_path / "cache-a", *flag))) == seeders


@pytest.mark.parametrize(("options", "seeders"), [("seeder", 1), ("", 1), ("leecher", 0)])
def test_a_cache_that_lacks_nothing_is_given_as_well(room: Room, tmp_path: Path, options: str, seeders: int) -> None:
    cache = tmp_path / "cache-a"
    assert room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", cache).code == 0
    ended = _update(room, cache, "--options", options)
    assert ended.last["chunks_fetched"] == 0
    told = _seeding(ended)
    assert len(told) == seeders
    for event in told:
        _gives(room, event)
