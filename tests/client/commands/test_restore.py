"""`ogcast restore` as a process against the real daemon: the main job, and what can go wrong with it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from client import direct
from client.app import app
from client.sinks.file import FileSink
from client.target_reader import TargetReader
from core.cli import run
from core.ids import ChunkIndex, ImageRef
from images.extents import Extents
from images.manifest import Manifest
from images.repository import Repository
from tests.client.conftest import IMAGE_SIZE, MIB, Room
from tests.support.images import make_image


def _dirty(path: Path, size: int = IMAGE_SIZE) -> bytes:
    before = random.Random(9).randbytes(size)
    path.write_bytes(before)
    return before


def test_a_file_becomes_the_image_and_the_figures_say_so(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    ended = room.ogcast("restore", "room1", target, "--method", "UNICAST-DIRECT", "--verify", "full")
    assert ended.code == 0, ended.errors
    assert target.read_bytes() == room.image.content
    done = ended.last
    assert done["event"] == "done"
    assert done["image"] == "room1@1"
    assert done["bytes_by_source"] == {"repository": room.image.stored_bytes}
    assert done["bytes_written"] == room.image.extents.data_bytes
    assert done["verified"] == "full"
    assert done["seconds"] > 0
    assert done["brake"] in ("network", "decode", "disk")
    assert room.journal_bytes() == 0


def test_zero_becomes_zero_and_skip_is_left_alone_in_an_old_file(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    before = _dirty(target, IMAGE_SIZE + MIB)
    assert room.ogcast("restore", "room1", target).code == 0
    assert target.read_bytes() == room.image.expected_on(before[:IMAGE_SIZE]) + before[IMAGE_SIZE:]


def test_by_choice_peers_are_given_from_the_target_while_it_is_restored(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "disk.img"
    readers: list[TargetReader] = []
    written: list[int] = []
    monkeypatch.setattr(direct, "is_solid_state", lambda path: True)

    class Seen(TargetReader):
        def __init__(self, path: str, manifest: Manifest, *, whole: bool = True) -> None:
            super().__init__(path, manifest, whole=whole)
            self.manifest = manifest
            readers.append(self)

        def add(self, chunks: Iterable[ChunkIndex]) -> None:
            found = list(chunks)
            super().add(found)
            for chunk in found:  # it is there already, and it is what the manifest says
                self.locate(self.manifest.digest(chunk))
                written.append(chunk)

    monkeypatch.setattr(direct, "TargetReader", Seen)
    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    config = tmp_path / "client.toml"
    for choice in ("false", "true"):
        config.write_text(f"{room.config.read_text()}\nseed_from_target = {choice}\n")
        config.chmod(0o600)
        command = ["restore", "room1", str(target), "--method", "TORRENT-DIRECT", "--no-seed"]
        assert run(app, ["--config", str(config), "--repo", room.url, "--json", *command]) == 0
        assert len(readers) == (choice == "true")
    assert len(written) == len(set(written)) > 0
    assert readers[0].changed == 0
    assert target.read_bytes() == room.image.content


@pytest.mark.parametrize("mode", ["sample", "full"])
def test_what_does_not_read_back_is_an_error_and_is_written_again(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A disk that loses a write: one chunk is other bytes once everything was synced."""
    with Repository.open(room.root) as repository, repository.writer(purpose="test") as writer:
        image = make_image(writer, Extents.all_data(20 * 65536), name=f"lost-{mode}")
        repository.publish(image.manifest, sign=room.key(), writer=writer)
    target = tmp_path / "disk.img"
    flush = FileSink.flush

    def lose(sink: FileSink) -> None:
        flush(sink)
        with target.open("r+b") as file:
            file.seek(7 * 65536 + 100)
            file.write(b"lost")

    monkeypatch.setenv("OGCAST_STATE_DIR", str(room.state))
    monkeypatch.setattr(FileSink, "flush", lose)
    command = ["restore", f"lost-{mode}", str(target), "--verify", mode]
    assert run(app, ["--config", str(room.config), "--repo", room.url, "--json", *command]) == 53
    monkeypatch.undo()
    again = room.ogcast(*command)
    assert again.code == 0, again.errors
    assert again.last["chunks_fetched"] == 1
    assert target.read_bytes() == image.content


@pytest.mark.root
def test_a_block_device_becomes_the_image(room: Room, tmp_path: Path, loop: Callable[..., Path]) -> None:
    backing = tmp_path / "disk.img"
    before = _dirty(backing, IMAGE_SIZE + MIB - (IMAGE_SIZE % 512))
    device = loop(backing)
    ended = room.ogcast("restore", "room1", device, "--verify", "sample")
    assert ended.code == 0, ended.errors
    after = device.read_bytes()
    assert after[:IMAGE_SIZE] == room.image.expected_on(before[:IMAGE_SIZE])
    assert after[IMAGE_SIZE:] == before[IMAGE_SIZE:]


@pytest.mark.root
def test_discard_gives_free_space_back(room: Room, tmp_path: Path, loop: Callable[..., Path]) -> None:
    backing = tmp_path / "disk.img"
    _dirty(backing, IMAGE_SIZE + MIB - (IMAGE_SIZE % 512))
    full = backing.stat().st_blocks
    assert room.ogcast("restore", "room1", loop(backing), "--discard", "--verify", "full").code == 0
    assert backing.stat().st_blocks < full


def test_a_killed_restore_goes_on_and_fetches_only_the_rest(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    before = _dirty(target)
    client = room.start("restore", "room1", target)
    assert room.wait_for_chunks(client, 60), "the restore was over before it could be killed"
    client.kill()
    client.communicate()
    written = (room.journal_bytes() - 88) // 8
    ended = room.ogcast("restore", "room1", target, "--verify", "full")
    assert ended.code == 0, ended.errors
    done = ended.last
    assert done["chunks_fetched"] == done["chunks"] - written
    assert 0 < done["bytes_by_source"]["repository"] < room.image.stored_bytes
    assert done["bytes_resumed"] > 0
    assert target.read_bytes() == room.image.expected_on(before)
    assert room.journal_bytes() == 0


def test_chunks_that_were_overwritten_since_are_fetched_again(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    client = room.start("restore", "room1", target)
    assert room.wait_for_chunks(client, 60)
    client.kill()
    client.communicate()
    with target.open("r+b") as file:
        file.write(os.urandom(8 * MIB))
    assert room.ogcast("restore", "room1", target).code == 0
    assert target.read_bytes()[: 8 * MIB] != b""
    content = target.read_bytes()
    for extent in room.image.extents:
        if extent.kind != 2:
            assert content[extent.start : extent.stop] == room.image.content[extent.start : extent.stop]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_restore_stops_safely_and_says_how_to_go_on(
    room: Room, tmp_path: Path, number: int, code: int
) -> None:
    target = tmp_path / "disk.img"
    client = room.start("restore", "room1", target)
    assert room.wait_for_chunks(client, 20)
    client.send_signal(number)
    ended = room.finished(client)
    assert ended.code == code
    assert ended.last["event"] == "error"
    assert ended.last["code"] == code
    assert "same command again" in ended.last["message"]
    assert room.ogcast("restore", "room1", target, "--verify", "full").code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_repository_restarted_midway_is_found_again(own_room: Room, tmp_path: Path, number: int) -> None:
    target = tmp_path / "disk.img"
    client = own_room.start("restore", "room1", target)
    assert own_room.wait_for_chunks(client, 20)
    os.kill(client.pid, signal.SIGSTOP)
    own_room.stop(number)
    os.kill(client.pid, signal.SIGCONT)
    own_room.serve()
    ended = own_room.finished(client)
    assert ended.code == 0, ended.errors
    assert ended.last["reconnects"] > 0
    assert target.read_bytes() == own_room.image.content


def test_a_damaged_journal_is_a_notice_and_no_more(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    client = room.start("restore", "room1", target)
    assert room.wait_for_chunks(client, 20)
    client.kill()
    client.communicate()
    (journal,) = room.state.glob("*.ogj")
    journal.write_bytes(b"rubbish" * 100)
    ended = room.ogcast("restore", "room1", target)
    assert ended.code == 0
    assert any(event["event"] == "notice" and "damaged" in event["message"] for event in ended.events)
    assert ended.last["bytes_resumed"] == 0


def test_a_journal_that_cannot_be_written_is_a_warning(room: Room, tmp_path: Path) -> None:
    room.state = Path("/dev/full/state")
    ended = room.ogcast("restore", "room1", tmp_path / "disk.img")
    assert ended.code == 0
    assert any(event["event"] == "warning" and "cannot be resumed" in event["message"] for event in ended.events)


@pytest.mark.parametrize(
    ("image", "code"),
    [("nothing", 2), ("room1@7", 2), ("a/b", 1), ("..", 1), ("x" * 300, 1), ("aula-ñ", 1), ("room1@x", 1)],
)
def test_names_that_are_unknown_or_illegal_leave_no_file(room: Room, tmp_path: Path, image: str, code: int) -> None:
    ended = room.ogcast("restore", image, tmp_path / "disk.img")
    assert ended.code == code
    assert ended.last["event"] == "error"
    assert ended.last["code"] == code
    assert ended.last["message"]
    assert not (tmp_path / "disk.img").exists()


@pytest.mark.parametrize("method", ["CARRIER-PIGEON", "PIGEON-DIRECT", "UNICAST-MOON"])
def test_an_unknown_method_is_wrong_usage(room: Room, tmp_path: Path, method: str) -> None:
    ended = room.ogcast("restore", "room1", tmp_path / "disk.img", "--method", method)
    assert ended.code == 1
    assert not (tmp_path / "disk.img").exists()


@pytest.mark.root
def test_a_target_that_is_too_small_or_mounted_is_untouched(
    room: Room, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    small = tmp_path / "small.img"
    before = _dirty(small, IMAGE_SIZE - (IMAGE_SIZE % 512) - 512)
    device = loop(small)
    assert room.ogcast("restore", "room1", device).code == 30
    assert device.read_bytes() == before

    mounted = loop(64 * MIB)
    subprocess.run(["mke2fs", "-q", str(mounted)], check=True)
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mount", str(mounted), str(point)], check=True)
    try:
        ended = room.ogcast("restore", "room1", mounted)
        assert ended.code == 4
        assert "mounted on" in ended.last["message"]
    finally:
        subprocess.run(["umount", str(point)], check=True)
    subprocess.run(["e2fsck", "-fn", str(mounted)], check=True, capture_output=True)


def test_a_path_where_a_device_is_expected_is_named(room: Room, tmp_path: Path) -> None:
    for target in ("/dev/sdzz9", "/dev/null", tmp_path):
        ended = room.ogcast("restore", "room1", target)
        assert ended.code == 3
        assert str(target) in ended.last["message"]


def _changed(room: Room, tmp_path: Path, old: str, new: str) -> Path:
    config = tmp_path / "changed.toml"
    text = room.config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return config


def test_a_wrong_token_is_refused_clearly(room: Room, tmp_path: Path) -> None:
    line = next(line for line in room.config.read_text().splitlines() if line.startswith("token"))
    ended = room.ogcast("restore", "room1", tmp_path / "x", config=_changed(room, tmp_path, line, 'token = "wrong"'))
    assert ended.code == 23
    assert ended.last["error"] == "AuthenticationError"
    assert not (tmp_path / "x").exists()


def test_the_certificate_of_another_repository_is_refused(
    room: Room, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.client.conftest import make_room

    other = make_room(tmp_path_factory.mktemp("other"))
    ended = room.ogcast("restore", "room1", tmp_path / "x", config=other.config)
    assert ended.code == 23
    assert ended.last["error"] == "AuthenticationError"
    assert "certificate" in ended.last["message"]


def test_a_manifest_signed_by_somebody_else_is_refused(room: Room, tmp_path: Path) -> None:
    line = next(line for line in room.config.read_text().splitlines() if line.startswith("signing_key"))
    config = _changed(room, tmp_path, line, f'signing_key = "{"A" * 43}="')
    ended = room.ogcast("restore", "room1", tmp_path / "x", config=config)
    assert ended.code == 5
    assert not (tmp_path / "x").exists()


def test_no_repository_is_a_clear_error_within_seconds(own_room: Room, tmp_path: Path) -> None:
    own_room.stop()
    began = time.monotonic()
    ended = own_room.ogcast("restore", "room1", tmp_path / "x")
    assert ended.code == 23
    assert ended.last["error"] == "ConnectionFailedError"
    assert ended.last["hint"]
    assert time.monotonic() - began < 20


def test_a_damaged_chunk_of_the_repository_is_never_written(own_room: Room, tmp_path: Path) -> None:
    with Repository.open(own_room.root) as repository, repository.pin(ImageRef("room1")) as pinned:
        place = repository.locate(pinned.manifest.digest(20))
        path = os.readlink(f"/proc/self/fd/{place.fd}")
        offset = place.offset + place.length // 2
    with open(path, "r+b") as pack:
        pack.seek(offset)
        byte = pack.read(1)
        pack.seek(offset)
        pack.write(bytes([byte[0] ^ 1]))
    ended = own_room.ogcast("restore", "room1", tmp_path / "disk.img")
    assert ended.code == 5, ended.errors
    assert "chunk 20" in ended.last["message"]


def test_an_empty_image_and_one_without_data_are_restored(own_room: Room, tmp_path: Path) -> None:
    with Repository.open(own_room.root) as repository, repository.writer() as writer:
        for name, extents in {
            "empty": Extents.all_data(0),
            "zeros": Extents([0], [MIB], [1]),
            "free": Extents([0], [MIB], [2]),
        }.items():
            made = make_image(writer, extents, name=name)
            repository.publish(made.manifest, sign=own_room.key(), writer=writer)
    for name, size in {"empty": 0, "zeros": MIB, "free": MIB}.items():
        target = tmp_path / name
        before = _dirty(target, MIB)
        ended = own_room.ogcast("restore", name, target, "--verify", "full")
        assert ended.code == 0, ended.errors
        expected = bytes(MIB) if name == "zeros" else before
        assert target.read_bytes() == expected
        assert size <= MIB


@pytest.mark.root
def test_a_disk_full_midway_is_clear_and_can_be_gone_on_from(room: Room, tmp_path: Path) -> None:
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(point)], check=True)
    try:
        client = room.start("restore", "room1", point / "disk.img")
        assert room.wait_for_chunks(client, 1)
        (point / "filler").write_bytes(b"")  # somebody else takes the room that was there at the start
        with (point / "filler").open("wb") as filler, contextlib.suppress(OSError):
            for _ in range(40):
                filler.write(bytes(MIB))
                filler.flush()
        ended = room.finished(client)
        if ended.code:  # it may have been faster than the filler
            assert ended.code == 30
            assert "No space left" in ended.last["message"]
        (point / "filler").unlink()
        assert room.ogcast("restore", "room1", point / "disk.img", "--verify", "full").code == 0
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.root
def test_a_disk_that_fails_midway_ends_with_the_place(room: Room, tmp_path: Path, loop: Callable[..., Path]) -> None:
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(point)], check=True)
    try:
        backing = point / "disk.img"
        with backing.open("wb") as file:
            file.truncate(64 * MIB)
        device = loop(backing)
        ended = room.ogcast("restore", "room1", device)
        # the kernel says EIO for a write and ENOSPC for a zeroing; which comes first is up to it
        assert ended.code in (3, 30), ended.errors
        assert str(device) in ended.last["message"]
        assert "failed" in ended.last["message"]
        subprocess.run(["losetup", "--detach", str(device)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)
