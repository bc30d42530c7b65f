"""Notes of seeders: a lock says who lives, whatever number is in the note."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from client.seeders import SeederNote, claimed, find_seeder, is_outlasted, note_path, running_seeders, stop
from core.errors import LocalError, LockedError
from core.ids import ImageRef

REF = ImageRef("room1", 3)
ROOT = bytes(range(32))
ROOT_OF_REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import os, signal, sys
from client.seeders import claimed
from tests.client.test_seeders import REF, ROOT, note_of
from pathlib import Path
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with claimed(Path(sys.argv[1]), REF, ROOT, note_of(os.getpid())):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def note_of(pid: int) -> SeederNote:
    return SeederNote(
        image=str(REF), root=ROOT.hex(), pid=pid, options="seeder", began="2026-01-01T00:00:00Z", holds="/cache"
    )


@pytest.fixture
def holder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that seeds."""
    kind = getattr(request, "param", "polite")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT_OF_REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(ROOT_OF_REPOSITORY)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.communicate()


def test_one_process_at_a_time(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    (note,) = running_seeders(tmp_path)
    assert note == note_of(holder.pid)
    assert find_seeder(tmp_path, REF, ROOT) == note
    assert find_seeder(tmp_path, ImageRef("room1", 4), ROOT) is None
    with pytest.raises(LockedError), claimed(tmp_path, REF, ROOT, note_of(os.getpid())):
        pass
    with claimed(tmp_path, ImageRef("room2", 1), ROOT, note_of(os.getpid())):
        pass  # another image is another matter


def test_who_died_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(10)
    assert note_path(tmp_path, REF, ROOT).exists()
    assert running_seeders(tmp_path) == []
    assert not note_path(tmp_path, REF, ROOT).exists()
    with claimed(tmp_path, REF, ROOT, note_of(os.getpid())):
        assert note_path(tmp_path, REF, ROOT).exists()
    assert list(tmp_path.iterdir()) == []


def test_stopping_waits_for_the_end(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert stop(tmp_path, note_of(holder.pid))
    assert holder.wait(10) == -signal.SIGTERM
    assert running_seeders(tmp_path) == []


@pytest.mark.parametrize("holder", ["deaf"], indirect=True)
def test_who_does_not_listen_is_killed(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.seeders.STOP_S", 0.2)
    assert not stop(tmp_path, note_of(holder.pid))
    assert holder.wait(10) == -signal.SIGKILL


def test_a_number_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with subprocess.Popen(["sleep", "30"]) as stranger:
        try:
            # the note of a seeder that died, whose number a stranger has
            folder = tmp_path / "other"
            folder.mkdir()
            note_path(folder, REF, ROOT).write_bytes(msgspec.json.encode(note_of(stranger.pid)))
            assert stop(folder, note_of(stranger.pid))
            assert stop(tmp_path, note_of(stranger.pid))  # another process holds this lock
            assert stranger.poll() is None
            assert holder.poll() is None
        finally:
            stranger.kill()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError) as caught, claimed(tmp_path / "file" / "seeders", REF, ROOT, note_of(1)):
        pass
    assert caught.value.hint
    assert running_seeders(tmp_path / "file" / "seeders") == []


def test_rubbish_under_a_lock_is_no_seeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.seeders.WRITTEN_S", 0.05)
    with claimed(tmp_path, REF, ROOT, note_of(os.getpid())):
        note_path(tmp_path, REF, ROOT).write_bytes(b"rubbish")
        assert running_seeders(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "log", "ours", "outlasted"),
    [
        ("peer:60", "log", "peer:60", True),
        ("peer:60", "log", "peer:41", False),
        ("peer:60", "log", "seeder", True),
        ("peer:60", "log", "seeder:0", True),
        ("peer:60", "log", "seeder:5", True),
        ("seeder:60", "log", "seeder:5", False),
        ("seeder:60", "log", "peer:5", False),
        ("peer:60", "log", "peer", False),
        ("peer:60", "log", "", False),
        ("peer:60", "", "seeder", False),
        ("peer", "log", "seeder", False),
        ("seeder", "log", "seeder:0", False),
        ("seeder:0", "log", "peer:999", False),
        ("?", "log", "peer:60", False),
    ],
)
def test_a_process_in_the_background_is_outlasted_by_who_gives_for_longer(
    options: str, log: str, ours: str, outlasted: bool
) -> None:
    now = datetime.datetime(2026, 1, 1, 12, 0, 20, tzinfo=datetime.UTC)
    began = "2026-01-01T12:00:00+00:00"
    note = SeederNote(image="a@1", root="00", pid=1, options=options, began=began, holds="memory", log=log)
    assert is_outlasted(note, ours, now=now) is outlasted


@pytest.mark.parametrize("began", ["", "yesterday", "2026-01-01T12:00:00"])
def test_a_process_that_began_nobody_knows_when_is_left_alone(began: str) -> None:
    note = SeederNote(image="a@1", root="00", pid=1, options="peer:1", began=began, holds="memory", log="log")
    assert not is_outlasted(note, "seeder", now=datetime.datetime.now(datetime.UTC))
