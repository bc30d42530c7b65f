"""A session that is opened before the program is imported: which command lines have one, and that nothing needs it."""

from __future__ import annotations

import ast
import contextlib
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from client import early
from client.early import HEAD_START_S, OTHERS_LOOK_S, EarlySession, begin
from client.exchange import Exchange
from core.ids import ImageRef
from core.link import Link
from images.repository import Repository
from tests.client.conftest import IMAGE_SIZE, PATIENCE_S, ROOT, Room
from transports.multicast.early import EarlyReceiver
from transports.p2p.early import EarlyMember

DIRECT = ["restore", "room1", "disk.img", "--method", "MULTICAST-DIRECT"]


def test_what_cannot_listen_early_or_be_read_is_left_to_the_command(room: Room, tmp_path: Path) -> None:
    common = ["--config", str(room.config), "--repo", room.url]
    assert begin([*common, "restore", "room1", "x", "--method", "NOBODY-DIRECT"]) is None
    assert begin(["--config", str(tmp_path / "none.toml"), *DIRECT]) is None
    assert early.hand_over() is None


def test_where_nothing_listens_the_session_is_opened_beside_the_imports(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _begun(room, monkeypatch, "UNICAST-DIRECT") as begun:
        opened = _take(begun, room, method="UNICAST-DIRECT")
        assert opened.offers[0].transport == "unicast"
        assert begun.heard == ""
        assert begun.take_listening("unicast") is None
        assert begun.manifest(ImageRef("room1")) is not None


def _sessions(room: Room) -> int:
    command = [sys.executable, "-m", "repod", "sessions", str(room.root), "--json", "--url", room.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return len(msgspec.json.decode(done.stdout)["sessions"])


@contextlib.contextmanager
def _begun(room: Room, monkeypatch: pytest.MonkeyPatch, method: str = "MULTICAST-DIRECT") -> Iterator[EarlySession]:
    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    begun = begin(["--config", str(room.config), "--repo", room.url, *DIRECT[:-1], method])
    assert begun is not None
    assert early.begun_at() == begun.begun_at
    assert early.hand_over() is begun
    assert early.hand_over() is None
    assert early.begun_at() is None
    try:
        yield begun
    finally:
        begun.close()


def _take(begun: EarlySession, room: Room, **changes: Any) -> Any:
    with Repository.open(room.root, read_only=True) as repository, repository.pin(ImageRef("room1")) as pinned:
        manifest = pinned.manifest
    given = {
        "root": manifest.root,
        "method": "MULTICAST-DIRECT",
        "options": "",
        "want": manifest.chunk_count,
        "chunks": manifest.chunk_count,
    }
    return begun.take(**{**given, **changes})


def test_the_session_is_open_and_listens_and_is_taken_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with _begun(room, monkeypatch) as begun:
        begun.wait(PATIENCE_S)
        opened = _take(begun, room)
        assert opened.offers[0].transport == "multicast"
        assert begun.listens_to_group
        listening = begun.take_listening("multicast")
        assert isinstance(listening, EarlyReceiver)
        assert select.select([listening.sock], [], [], PATIENCE_S)[0]  # sent though no lane is there
        listening.close()
        assert begun.take_listening("multicast") is None
        assert _take(begun, room) is None


def test_the_line_of_a_session_goes_on_for_who_takes_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with _begun(room, monkeypatch) as begun:
        opened = _take(begun, room)
        line = begun.take_line()
        assert line is not None
        assert begun.take_line() is None
        assert line.ask("DELETE", f"/v1/sessions/{opened.session}") == b""
        line.close()


def test_who_chooses_listens_to_what_is_sent_to_many(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with _begun(room, monkeypatch, "AUTO") as begun:
        begun.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while begun.heard != "multicast":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert _take(begun, room, method="AUTO-DIRECT") is not None


@pytest.mark.parametrize("link", [Link(name="w", wireless=True), Link(name="s", bytes_per_s=1e6)])
def test_who_chooses_does_not_listen_on_a_link_that_does_not_suit(
    room: Room, monkeypatch: pytest.MonkeyPatch, link: Link
) -> None:
    monkeypatch.setattr("core.link.link_towards", lambda host: link)
    with _begun(room, monkeypatch, "AUTO") as begun:
        begun.wait(PATIENCE_S)
        assert begun.heard == ""
        assert _take(begun, room, method="AUTO-DIRECT") is None


def test_nobody_listens_for_long_before_the_command_is_there(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "LISTEN_LOOK_S", 0.05)
    monkeypatch.setattr(early, "LISTEN_MAX_S", 0.2)
    with _closed(monkeypatch) as closed, _begun(room, monkeypatch) as begun:
        assert closed.wait(PATIENCE_S)
        assert begun.take_listening("multicast") is None
        assert _take(begun, room) is not None  # the session is there all the same


@contextlib.contextmanager
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set once a socket of a group is closed."""
    closed = threading.Event()
    close = EarlyReceiver.close

    def seen(receiver: EarlyReceiver) -> None:
        close(receiver)
        closed.set()

    monkeypatch.setattr(EarlyReceiver, "close", seen)
    yield closed


def test_who_jams_the_link_by_listening_stops_at_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "LISTEN_LOOK_S", 0.05)
    monkeypatch.setattr(EarlyReceiver, "jams", True)
    with _closed(monkeypatch) as closed, _begun(room, monkeypatch) as begun:
        assert closed.wait(PATIENCE_S)
        assert begun.take_listening("multicast") is None
        assert _take(begun, room) is not None
        assert begun.jammed == {"multicast": pytest.approx(0.0, abs=0.5)}


def test_what_was_asked_for_on_a_jammed_link_is_left_to_a_new_connection(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "LISTEN_LOOK_S", 0.05)
    monkeypatch.setattr(EarlyReceiver, "jams", True)
    silent, other = socket.socketpair()
    ask = Exchange.ask

    def answered(self: Exchange, method: str, path: str, body: bytes | None = None) -> bytes:
        if path.endswith("/manifest"):
            self.sock.close()
            self.sock = silent
        return ask(self, method, path, body)

    monkeypatch.setattr(Exchange, "ask", answered)
    with other, silent, _begun(room, monkeypatch) as begun:
        assert begun.manifest(ImageRef("room1", 1)) is None
        assert not begun._thread.is_alive()  # it would wait for ever
        assert _take(begun, room) is not None


@pytest.mark.parametrize("changes", [{"root": bytes(32)}, {"method": "UNICAST-DIRECT"}, {"options": "x"}, {"want": 1}])
def test_a_session_for_something_else_is_given_back(
    room: Room, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with _begun(room, monkeypatch) as begun:
        assert _take(begun, room, **changes) is None
        assert begun.take_listening("multicast") is None


@pytest.mark.parametrize(
    ("calm_after", "naps"), [(0, 0), (3, 3), (1000, math.ceil(HEAD_START_S / OTHERS_LOOK_S))], ids=str
)
def test_who_listens_lets_others_listen_before_it_goes_on_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm_after: int, naps: int
) -> None:
    loadavg, taken = tmp_path / "loadavg", 0

    def sleep(seconds: float) -> None:
        nonlocal taken
        assert seconds == OTHERS_LOOK_S
        taken += 1
        tell()

    def tell() -> None:
        running = os.cpu_count() if taken >= calm_after else 1000
        loadavg.write_text(f"0.52 0.40 0.21 {running}/2000 4711\n")

    clock = SimpleNamespace(monotonic=lambda: 100 + taken * OTHERS_LOOK_S, sleep=sleep)
    monkeypatch.setattr(early, "LOADAVG", str(loadavg))
    monkeypatch.setattr(early, "time", clock)
    tell()
    early._wait_for_others(100 + HEAD_START_S)
    assert taken == naps
    monkeypatch.setattr(early, "LOADAVG", str(tmp_path / "none"))
    early._wait_for_others(1000.0)
    assert taken == naps


def test_an_unfinished_restore_is_not_begun_early(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.state.mkdir()
    (room.state / "0123.ogj").write_bytes(b"")
    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    assert begin(["--config", str(room.config), "--repo", room.url, *DIRECT]) is None


def test_a_repository_that_is_not_there_is_the_commands_business(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        begun = begin(["--config", str(room.config), "--repo", f"127.0.0.1:{nobody.getsockname()[1]}", *DIRECT])
        assert begun is early.hand_over()
        assert begun is not None
        assert _take(begun, room) is None


def test_a_restore_takes_it_and_gets_everything(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    target.write_bytes(bytes(IMAGE_SIZE))
    ended = room.ogcast("restore", "room1", target, "--method", "MULTICAST-DIRECT")
    assert (ended.code, ended.last["event"]) == (0, "done")
    assert set(ended.last["chunks_by_source"]) <= {"multicast", "repository"}
    assert target.read_bytes() == room.image.expected_on(bytes(IMAGE_SIZE))


def test_a_swarm_is_entered_early_and_the_manifest_comes_with_the_session(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    line = ["restore", "room1", "disk.img", "--method", "TORRENT-DIRECT"]
    begun = begin(["--config", str(room.config), "--repo", room.url, *line])
    assert begun is not None
    try:
        with Repository.open(room.root, read_only=True) as repository, repository.pin(ImageRef("room1")) as pinned:
            assert early.manifest(ImageRef("room1")) == pinned.data
        assert early.manifest(ImageRef("room1", 1)) is None  # asked for by another name: the command asks itself
        assert early.hand_over() is begun
        assert early.manifest(ImageRef("room1")) is None
        assert _take(begun, room, method="TORRENT-DIRECT") is not None
        assert not begun.listens_to_group
        member = begun.take_listening("p2p")
        assert isinstance(member, EarlyMember)
        assert member.machine.opened
        member.close()
    finally:
        begun.close()


def test_a_restore_by_peers_takes_it_and_gets_everything_once(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    target.write_bytes(bytes(IMAGE_SIZE))
    ended = room.ogcast("restore", "room1", target, "--method", "TORRENT-DIRECT", "--no-seed")
    assert (ended.code, ended.last["event"]) == (0, "done")
    assert (set(ended.last["chunks_by_source"]), ended.last["duplicates"]) == ({"repository"}, 0)
    assert target.read_bytes() == room.image.expected_on(bytes(IMAGE_SIZE))


def test_a_target_that_is_refused_leaves_no_session_behind(room: Room, tmp_path: Path) -> None:
    before = _sessions(room)
    ended = room.ogcast("restore", "room1", tmp_path, "--method", "MULTICAST-DIRECT")
    assert ended.code != 0
    assert _sessions(room) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_tables_of_names_beyond_ascii_are_loaded_to_connect(room: Room, host: str) -> None:
    url = room.url.replace("127.0.0.1", host)
    line = ["--config", str(room.config), "--repo", url, *DIRECT]
    code = f"""
import sys
from client import early
begun = early.begin({line!r})
begun.wait({PATIENCE_S})
print(begun._opened is not None, *sorted({{"encodings.idna", "unicodedata"}} & set(sys.modules)))
begun.close()
"""
    environ = {**os.environ, "OGCAST_STATE_DIR": str(room.state)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environ)
    assert done.stdout.split() == ["True"], done.stderr


def test_until_it_listens_nothing_is_imported_that_it_can_do_without() -> None:
    heavy = {
        "dataclasses",
        "http.client",
        "email",
        "ipaddress",
        "msgspec",
        "tomllib",
        "pathlib",
        "typing",
        "urllib.parse",
        "asyncio",
    }
    code = "import client.__main__, client.early, transports.multicast.early, sys; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert "ssl" in loaded
    assert not heavy & loaded
