"""The CACHE: update, resume, mend, deploy, and what can go wrong with it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from images.extents import Extents
from images.repository import Repository
from tests.client.conftest import MIB, Room, damage_chunk, digests_of
from tests.support.images import make_image


def test_an_update_fetches_once_and_then_nothing(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = room.ogcast("update-cache", "room1", "--cache", cache)
    assert first.code == 0, first.errors
    assert first.last["bytes_by_source"] == {"repository": room.image.distinct_bytes}
    second = room.ogcast("update-cache", "room1", "--method", "unicast-cache", "--cache", cache)
    assert second.code == 0
    assert second.last["bytes_by_source"] == {}


def test_a_restore_from_the_cache_needs_no_repository(own_room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert own_room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    own_room.stop()
    target = tmp_path / "disk.img"
    ended = own_room.ogcast("restore", "room1", target, "--method", "UNICAST-CACHE", "--cache", cache)
    assert ended.code == 0, ended.errors
    assert ended.last["bytes_by_source"] == {"cache": own_room.image.stored_bytes}
    assert target.read_bytes() == own_room.image.content


def test_a_killed_update_goes_on_from_what_arrived(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    client = room.start("update-cache", "room1", "--cache", cache)
    while client.poll() is None and not any(path.stat().st_size > 4 * MIB for path in cache.glob("packs/*")):
        pass
    client.send_signal(signal.SIGTERM)
    ended = room.finished(client)
    assert ended.code == 143
    again = room.ogcast("update-cache", "room1", "--cache", cache)
    assert again.code == 0
    assert 0 < again.last["bytes_received"] < room.image.stored_bytes


def test_an_image_is_in_the_cache_only_when_it_is_whole(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    client = room.start("update-cache", "room1", "--cache", cache)
    while client.poll() is None and not any(path.stat().st_size > 4 * MIB for path in cache.glob("packs/*")):
        pass
    client.kill()
    client.communicate()
    ended = room.ogcast("restore", "room1", tmp_path / "x", "--method", "UNICAST-CACHE", "--cache", cache)
    assert ended.code == 2
    assert not (tmp_path / "x").exists()


def test_a_new_version_fetches_only_what_changed(own_room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert own_room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    # the same content without its last run: everything before keeps its place and its digest
    runs = list(own_room.image.extents)[:-1]
    changed = Extents.from_lengths([run.length for run in runs], [run.kind for run in runs])
    with Repository.open(own_room.root) as repository, repository.writer() as writer:
        made = make_image(writer, changed)
        repository.publish(made.manifest, sign=own_room.key(), writer=writer)
    ended = own_room.ogcast("update-cache", "room1", "--cache", cache)
    assert ended.code == 0
    assert ended.last["image"] == "room1@2"
    assert ended.last["chunks_fetched"] < 5


def test_a_restore_from_a_damaged_cache_takes_the_chunk_from_the_repository(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    damage_chunk(cache, digests_of(cache)[5])
    target = tmp_path / "disk.img"
    ended = room.ogcast("restore", "room1", target, "--method", "UNICAST-CACHE", "--cache", cache)
    assert ended.code == 0, ended.errors
    assert ended.last["chunks_by_source"]["repository"] == 1
    assert target.read_bytes() == room.image.content
    update = room.ogcast("update-cache", "room1", "--cache", cache)
    assert update.last["chunks_fetched"] == 1


def test_without_a_cache_the_error_says_so(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("update-cache", "room1", "--cache", tmp_path / "no" / "such")
    assert ended.code == 15
    for command in (["restore", "room1", tmp_path / "x", "--method", "UNICAST-CACHE"], ["cache", "ls"]):
        ended = room.ogcast(*command, "--cache", tmp_path / "nothing-here")
        assert ended.code == 15, ended.errors


def test_a_folder_with_other_things_is_no_cache(room: Room, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert room.ogcast("update-cache", "room1", "--cache", tmp_path / "mine").code == 21


def test_a_direct_method_cannot_update_the_cache(room: Room, tmp_path: Path) -> None:
    assert room.ogcast("update-cache", "room1", "--method", "UNICAST-DIRECT", "--cache", tmp_path / "c").code == 1


@pytest.mark.root
def test_a_cache_that_others_fill_meanwhile_is_named_with_what_makes_room(room: Room, tmp_path: Path) -> None:
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={80 * MIB}", "tmpfs", str(point)], check=True)
    try:
        client = room.start("update-cache", "room1", "--cache", point / "cache")
        while client.poll() is None and not any(path.stat().st_size > 0 for path in point.glob("cache/packs/*")):
            pass
        client.send_signal(signal.SIGSTOP)
        with (point / "others").open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB))
        client.send_signal(signal.SIGCONT)
        ended = room.finished(client)
        assert ended.code == 16, ended.errors
        assert f"in the CACHE {point / 'cache'}" in ended.last["message"]
        assert "ogcast cache gc" in ended.last["hint"]
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.root
def test_a_cache_without_room_is_refused_before_the_transfer(
    room: Room, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    device = loop(24 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", str(device)], check=True)
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mount", str(device), str(point)], check=True)
    try:
        ended = room.ogcast("update-cache", "room1", "--cache", point / "cache")
        assert ended.code == 16
        assert "MiB more in the CACHE" in ended.last["message"]
        assert not list((point / "cache" / "packs").iterdir())
    finally:
        subprocess.run(["umount", str(point)], check=True)
