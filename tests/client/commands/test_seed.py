"""ogcast seed with real processes: one machine gives, others take, and the repository sends nothing."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from images.extents import Kind
from tests.client.conftest import PATIENCE_S, ROOT, Room, damage_chunk, digests_of


class Giver:
    """A running `ogcast seed`, whose events are read as they come."""

    def __init__(self, room: Room, *words: str | Path) -> None:
        self.process: subprocess.Popen[str] = room.start("seed", *words)
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def tells(self, name: str, *, after: dict[str, Any] | None = None, **fields: object) -> dict[str, Any]:
        """The first event of this name with these fields, later than `after`, when it has come."""

        def found() -> dict[str, Any] | None:
            start = 0 if after is None else self.events.index(after) + 1
            told = [event for event in self.events[start:] if event["event"] == name]
            return next((event for event in told if fields.items() <= event.items()), None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, PATIENCE_S), self.events
        event = found()
        assert event is not None
        return event

    def ended(self) -> int:
        """Its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()


@pytest.fixture
def cache(room: Room, tmp_path: Path) -> Path:
    """A CACHE that holds the image, filled without any peer."""
    cache = tmp_path / "cache-a"
    assert room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", cache).code == 0
    return cache


def _takes(room: Room, cache: Path, *words: str) -> dict[str, Any]:
    ended = room.ogcast("update-cache", "room1", "--method", "TORRENT-CACHE", "--cache", cache, "--no-seed", *words)
    assert ended.code == 0, ended.errors
    return ended.last


def _from_peers(done: dict[str, Any]) -> int:
    return sum(count for source, count in done["chunks_by_source"].items() if source.startswith("peer "))


def test_a_seeder_gives_everything_and_the_repository_nothing(room: Room, cache: Path, tmp_path: Path) -> None:
    giver = Giver(room, "room1", "--cache", cache)
    told = giver.tells("seeding")
    assert told["held_chunks"] == told["chunks"]
    done = _takes(room, tmp_path / "cache-b")
    assert done["chunks_by_source"].get("repository", 0) == 0
    assert _from_peers(done) == done["chunks_fetched"] > 0
    giver.process.send_signal(signal.SIGTERM)
    assert giver.ended() == 143
    assert giver.events[-2]["message"] == "seeding has ended"


def test_a_peer_ends_when_nobody_lacks_anything_any_more(room: Room, cache: Path, tmp_path: Path) -> None:
    giver = Giver(room, "room1", "--mode", "peer", "--cache", cache)
    giver.tells("seeding")
    done = _takes(room, tmp_path / "cache-b")
    assert giver.ended() == 0
    last = giver.events[-1]
    assert "nobody lacks anything" in last["reason"]
    assert last["chunks_given"] == done["chunks_fetched"]
    assert last["bytes_given"] == sum(done["bytes_by_source"].values())


def test_seconds_end_it_whatever_others_lack(room: Room, cache: Path) -> None:
    ended = room.ogcast("seed", "room1", "--mode", "peer", "--seconds", "1", "--cache", cache)
    assert ended.code == 0
    assert ended.last["reason"] == "1 s are over"
    assert ended.last["seconds"] >= 1


def test_one_process_gives_an_image_and_a_second_is_no_error(room: Room, cache: Path) -> None:
    giver = Giver(room, "room1", "--cache", cache)
    giver.tells("seeding")
    again = room.ogcast("seed", "room1", "--cache", cache)
    assert (again.code, again.last["already"]) == (0, True)
    shown = room.ogcast("seed")
    (note,) = shown.last["seeders"]
    assert (note["image"], note["pid"], note["options"]) == ("room1@1", giver.process.pid, "seeder")
    stopped = room.ogcast("seed", "room1", "--stop")
    assert (stopped.code, stopped.last["stopped"], stopped.last["killed"]) == (0, ["room1@1"], [])
    assert giver.ended() == 143
    assert room.ogcast("seed", "--stop").last["stopped"] == []


def test_in_the_background_a_second_one_says_that_there_is_one(room: Room, cache: Path) -> None:
    words = ("seed", "room1", "--background", "--cache", str(cache))
    first, second = room.ogcast(*words).last, room.ogcast(*words).last
    command = [sys.executable, "-m", "client", "--config", str(room.config), "--repo", room.url, *words]
    environment = {**os.environ, "OGCAST_STATE_DIR": str(room.state)}
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=PATIENCE_S)
    assert room.ogcast("seed", "--stop").last["stopped"] == ["room1@1"]
    assert (first["already"], second["already"]) == (False, True)
    assert second["pid"] == first["pid"]
    assert told.stdout == f"room1@1 is given to others by process {first['pid']} already\n"


def test_what_dies_without_a_word_leaves_the_rest_to_the_repository(room: Room, cache: Path, tmp_path: Path) -> None:
    giver = Giver(room, "room1", "--cache", cache)
    giver.tells("seeding")
    giver.process.kill()
    assert giver.ended() == -signal.SIGKILL
    assert room.ogcast("seed").last["seeders"] == []
    done = _takes(room, tmp_path / "cache-b")
    assert done["chunks_by_source"]["repository"] == done["chunks_fetched"]
    again = Giver(room, "room1", "--cache", cache)
    again.tells("seeding")
    again.process.terminate()
    again.ended()


def test_an_image_that_is_removed_from_the_cache_is_given_no_more(room: Room, cache: Path, tmp_path: Path) -> None:
    giver = Giver(room, "room1", "--cache", cache)
    giver.tells("seeding")
    assert room.ogcast("cache", "rm", "room1", "--cache", cache).code == 0
    assert room.ogcast("cache", "gc", "--cache", cache).code == 0
    assert giver.ended() == 0
    assert "was removed from the CACHE" in giver.events[-1]["reason"]
    assert _takes(room, tmp_path / "cache-b")["chunks_by_source"].keys() == {"repository"}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_repository_that_was_restarted_finds_its_seeder_again(
    own_room: Room, tmp_path: Path, elsewhere: bool
) -> None:
    cache = tmp_path / "cache-a"
    assert own_room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", cache).code == 0
    giver = Giver(own_room, "room1", "--cache", cache)
    giver.tells("seeding")
    own_room.stop()
    alone = giver.tells("swarm-repository", reachable=False)
    with contextlib.ExitStack() as others:
        # Somebody else, who does not answer, has the ports beside that of the control API where the lanes were.
        for port in range(own_room.port + 1, own_room.port + 4) if elsewhere else ():
            with contextlib.suppress(OSError):  # it was somebody else's before
                others.enter_context(socket.create_server(("127.0.0.1", port)))
        own_room.serve()
        giver.tells("seeding", after=alone)
    deadline = time.monotonic() + PATIENCE_S
    for number in itertools.count():  # it has a session again, and is on its way into the swarm
        if _from_peers(_takes(own_room, tmp_path / f"cache-b{number}")):
            break
        assert time.monotonic() < deadline
    giver.process.terminate()
    giver.ended()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["nothing"], 2), (["room1", "--stop", "--background"], 1), (["room1", "--mode", "leecher"], 1), (["no name"], 1)],
)
def test_what_cannot_be_given_is_an_error(room: Room, cache: Path, words: list[str], code: int) -> None:
    ended = room.ogcast("seed", *words, "--cache", cache)
    assert ended.code == code
    assert ended.errors


def test_a_repository_without_peers_is_an_error_at_once(own_room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache-a"
    assert own_room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", cache).code == 0
    own_room.stop()
    assert own_room.ogcast("seed", "room1", "--cache", cache).code == 23


def test_a_damaged_chunk_is_never_given(room: Room, cache: Path, tmp_path: Path) -> None:
    damage_chunk(cache, digests_of(cache)[3])
    started = room.ogcast("seed", "room1", "--background", "--cache", cache)
    assert started.code == 0, started.errors
    deadline = time.monotonic() + PATIENCE_S
    log = Path(next(event["log"] for event in started.events if event["event"] == "seeding"))
    while '"event":"seeding"' not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    done = _takes(room, tmp_path / "cache-b")
    assert done["bad_chunks"] == 0
    assert done["chunks_by_source"]["repository"] == 1
    assert _from_peers(done) == done["chunks_fetched"] - 1
    assert "is damaged in the CACHE" in log.read_text()


def test_the_operator_sees_who_gives(room: Room, cache: Path) -> None:
    giver = Giver(room, "room1", "--cache", cache)
    giver.tells("seeding")
    words = [sys.executable, "-m", "repod", "sessions", str(room.root), "--url", room.url]
    deadline = time.monotonic() + PATIENCE_S
    while "(gives)" not in (shown := subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    giver.process.terminate()
    giver.ended()


def test_a_target_is_given_but_what_changed_on_it_is_not(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "a.img"
    assert room.ogcast("restore", "room1", target, "--method", "UNICAST-DIRECT").code == 0
    where = next(extent for extent in room.image.extents if extent.kind is Kind.DATA).start
    with target.open("r+b") as file:
        file.seek(where)
        byte = file.read(1)
        file.seek(where)
        file.write(bytes([byte[0] ^ 1]))
    giver = Giver(room, "room1", "--target", target)
    assert giver.tells("seeding")["held_chunks"] > 0
    copy = tmp_path / "b.img"
    taken = room.ogcast("restore", "room1", copy, "--method", "TORRENT-DIRECT", "--no-seed", "--verify", "full")
    assert taken.code == 0, taken.errors
    assert taken.last["bad_chunks"] == 0
    assert _from_peers(taken.last) > 0
    assert 0 < taken.last["chunks_by_source"]["repository"] < taken.last["chunks_fetched"] / 2
    giver.process.terminate()
    giver.ended()


def test_a_seeder_that_is_killed_in_the_middle_costs_nothing_but_time(own_room: Room, tmp_path: Path) -> None:
    """Its upload is capped, so that there is a middle."""
    settings = own_room.root / "repod.toml"
    settings.write_text(settings.read_text() + "\n[transports.p2p]\nupload_mbit_per_s = 40.0\n")
    cache = tmp_path / "cache-a"
    assert own_room.ogcast("update-cache", "room1", "--method", "UNICAST-CACHE", "--cache", cache).code == 0
    own_room.stop(signal.SIGTERM)
    own_room.serve()
    giver = Giver(own_room, "room1", "--cache", cache)
    giver.tells("seeding")
    words = ("update-cache", "room1", "--method", "TORRENT-CACHE", "--cache", tmp_path / "cache-b", "--no-seed")
    taker = own_room.start(*words)
    assert taker.stdout is not None
    lines = []
    for line in taker.stdout:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "progress" and 0 < lines[-1]["chunks_done"] < lines[-1]["chunks"]:
            break
    assert lines[-1]["event"] == "progress", lines
    giver.process.kill()
    giver.ended()
    lines += [json.loads(line) for line in taker.stdout]
    assert taker.wait(PATIENCE_S) == 0
    done = lines[-1]
    assert (done["event"], done["bad_chunks"]) == ("done", 0)
    assert _from_peers(done) > 0
    assert done["chunks_by_source"]["repository"] > 0
