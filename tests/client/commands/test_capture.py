"""`ogcast capture` against the real daemon."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, cast

import pytest

from client import capturing
from client.capturing import REREADS_MAX, Capture
from client.control import ControlClient
from client.events import PlainReporter
from client.run import Run
from core.errors import CaptureError
from core.ids import ImageRef
from images.repository import Repository
from tests.client.conftest import MIB, Room
from tests.images.partclone_images import v2_image


def _source(path: Path, size: int = 24 * MIB + 512) -> bytes:
    content = random.Random(4).randbytes(size)
    path.write_bytes(content)
    return content


def _versions(room: Room, name: str) -> list[int]:
    with Repository.open(room.root, read_only=True) as repository:
        return [entry.version for entry in repository.images() if entry.name == name]


def test_a_capture_becomes_a_version_that_restores_to_the_same_bytes(room: Room, tmp_path: Path) -> None:
    content = _source(tmp_path / "source.img")
    ended = room.ogcast("capture", tmp_path / "source.img", "pc1")
    assert ended.code == 0, ended.errors
    assert ended.last["image"] == "pc1@1"
    assert ended.last["bytes_sent"] > 0
    assert room.ogcast("restore", "pc1", tmp_path / "back.img").code == 0
    assert (tmp_path / "back.img").read_bytes() == content


def test_a_second_capture_sends_only_what_changed(room: Room, tmp_path: Path) -> None:
    _source(tmp_path / "source.img")
    assert room.ogcast("capture", tmp_path / "source.img", "pc2").code == 0
    with (tmp_path / "source.img").open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"changed")
    ended = room.ogcast("capture", tmp_path / "source.img", "pc2")
    assert ended.code == 0, ended.errors
    assert ended.last["image"] == "pc2@2"
    assert ended.last["chunks_sent"] == 1


def test_an_interrupted_capture_shows_nothing_and_goes_on_later(room: Room, tmp_path: Path) -> None:
    _source(tmp_path / "source.img", 96 * MIB)
    client = room.start("capture", tmp_path / "source.img", "pc3")
    before = sum(path.stat().st_size for path in (room.root / "packs").iterdir())
    while client.poll() is None and sum(path.stat().st_size for path in (room.root / "packs").iterdir()) <= before:
        pass
    client.send_signal(signal.SIGTERM)
    ended = room.finished(client)
    assert ended.code == 143, ended.errors
    assert "nothing new" in ended.last["message"]
    assert _versions(room, "pc3") == []
    again = room.ogcast("capture", tmp_path / "source.img", "pc3")
    assert again.code == 0, again.errors
    assert _versions(room, "pc3") == [1]


def test_a_repository_restarted_midway_gets_the_rest_of_the_capture(own_room: Room, tmp_path: Path) -> None:
    content = _source(tmp_path / "source.img", 96 * MIB)
    client = own_room.start("capture", tmp_path / "source.img", "pc4")
    packs = own_room.root / "packs"
    before = sum(path.stat().st_size for path in packs.iterdir())
    while client.poll() is None and sum(path.stat().st_size for path in packs.iterdir()) <= before:
        pass
    client.send_signal(signal.SIGSTOP)
    own_room.stop(signal.SIGTERM)
    client.send_signal(signal.SIGCONT)
    own_room.serve()
    ended = own_room.finished(client)
    assert ended.code == 0, ended.errors
    with Repository.open(own_room.root, read_only=True) as repository, repository.pin(ImageRef("pc4")) as pinned:
        assert pinned.manifest.size == len(content)


def test_bad_sources_and_names_end_with_their_codes(room: Room, tmp_path: Path) -> None:
    assert room.ogcast("capture", tmp_path / "missing.img", "pc5").code in (2, 3, 33)
    _source(tmp_path / "source.img", MIB)
    for name in ("a/b", "..", "x" * 300, "año"):
        assert room.ogcast("capture", tmp_path / "source.img", name).code == 1
    assert _versions(room, "pc5") == []


def test_two_captures_of_one_name_exclude_each_other(room: Room, tmp_path: Path) -> None:
    _source(tmp_path / "source.img", 96 * MIB)
    first = room.start("capture", tmp_path / "source.img", "pc6")
    while first.poll() is None and '"stage":"start"' not in (first.stdout.readline() if first.stdout else ""):
        pass
    first.send_signal(signal.SIGSTOP)
    try:
        second = room.ogcast("capture", tmp_path / "source.img", "pc6")
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.code in (0, 4)  # the same host may take its own lock back
    room.finished(first)
    assert len(_versions(room, "pc6")) <= 2


def test_sources_are_taken_as_repod_import_takes_them_and_what_they_have_to_say_is_told(
    room: Room, tmp_path: Path
) -> None:
    old = tmp_path / "old.img"
    old.write_bytes(v2_image([b"a" * 512] * 8, mode=0))
    ended = room.ogcast("capture", old, "pc7")
    assert ended.code == 0, ended.errors
    assert ["without checksums" in event["message"] for event in ended.events if event["event"] == "notice"] == [True]
    (tmp_path / "notes.txt").write_text("plainly no partition\n" * 50)
    assert room.ogcast("capture", tmp_path / "notes.txt", "pc8").code == 33
    assert room.ogcast("capture", tmp_path / "notes.txt", "pc8", "--format", "raw").code == 0


def test_what_a_killed_repository_lost_is_sent_again(own_room: Room, tmp_path: Path) -> None:
    content = _source(tmp_path / "source.img", 96 * MIB)
    client = own_room.start("capture", tmp_path / "source.img", "pc9")
    packs = own_room.root / "packs"
    before = sum(path.stat().st_size for path in packs.iterdir())
    while client.poll() is None and sum(path.stat().st_size for path in packs.iterdir()) < before + 24 * MIB:
        pass
    own_room.stop(signal.SIGKILL)  # what it acknowledged a moment ago is in no index yet
    own_room.serve()
    ended = own_room.finished(client)
    assert ended.code == 0, ended.errors
    assert ended.last["reconnects"] >= 1
    assert own_room.ogcast("restore", "pc9", tmp_path / "back.img").code == 0
    assert (tmp_path / "back.img").read_bytes() == content


class _Broken:
    """An uplink whose lane broke."""

    reconnects = 1

    def __init__(self, *_: object, **__: object) -> None: ...

    async def __aenter__(self) -> _Broken:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Forgetful:
    """A repository that loses what it has taken, each time."""

    def __init__(self) -> None:
        self.commits = 0
        self.abandoned: list[str] = []

    async def commit_capture(self, capture: str, manifest: bytes) -> None:
        self.commits += 1
        raise CaptureError("3 chunks of the image have not arrived")

    async def abandon_capture(self, capture: str) -> None:
        self.abandoned.append(capture)


@pytest.mark.asyncio
async def test_a_source_is_not_read_again_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(self: Capture, *_: object) -> bytes:
        return b"manifest"

    monkeypatch.setattr(capturing, "Uplink", _Broken)
    monkeypatch.setattr(Capture, "_build", build)
    (tmp_path / "source.img").write_bytes(b"x")
    run = Run(settings=cast(Any, None), reporter=PlainReporter())
    far = _Forgetful()
    capture = Capture(run, cast(ControlClient, far), source=str(tmp_path / "source.img"), name="pc1")
    with pytest.raises(CaptureError, match="have not arrived"):
        await capture.perform(cast(Any, SimpleNamespace(capture="c1")))
    assert far.commits == 1 + REREADS_MAX
    assert far.abandoned == ["c1"]
