from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from images.extents import Extents
from images.repository import Repository
from tests.client.conftest import IMAGE_SIZE, Room, make_room
from tests.support.images import make_image

ASKED = "room1@2"


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A repository with two signed versions that gives the manifest of the first for both."""
    room = make_room(tmp_path_factory.mktemp("replaying"))
    try:
        with Repository.open(room.root) as repository, repository.writer() as writer:
            newer = make_image(writer, Extents.all_data(IMAGE_SIZE // 512 * 512), seed=2)
            assert str(repository.publish(newer.manifest, sign=room.key(), writer=writer).ref) == ASKED
        room.serve(program="tests.support.replaying")
        yield room
    finally:
        room.close()


@pytest.mark.parametrize("method", ["UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT", "AUTO"])
def test_the_manifest_of_an_older_version_is_refused_before_anything_is_written(
    replaying: Room, tmp_path: Path, method: str
) -> None:
    target = tmp_path / "disk.img"
    target.write_bytes(b"\xee" * IMAGE_SIZE)
    ended = replaying.ogcast("restore", ASKED, target, "--method", method)
    assert (ended.code, ended.last["event"]) == (5, "error")
    assert "asked for room1@2, got the manifest of room1@1" in ended.last["message"]
    assert target.read_bytes() == b"\xee" * IMAGE_SIZE


@pytest.mark.parametrize("method", ["UNICAST-CACHE", "TORRENT-CACHE"])
def test_no_cache_takes_it_though_the_repository_says_that_it_is_the_version(
    replaying: Room, tmp_path: Path, method: str
) -> None:
    cache, target = tmp_path / "cache", tmp_path / "disk.img"
    cache.mkdir()
    target.write_bytes(b"\xee" * IMAGE_SIZE)
    for words in (["update-cache", ASKED], ["deploy", ASKED, target]):
        ended = replaying.ogcast(*words, "--method", method, "--cache", cache)
        assert (ended.code, ended.last["event"]) == (5, "error")
        assert "asked for room1@2, got" in ended.last["message"]
    assert not any(cache.iterdir())
    assert target.read_bytes() == b"\xee" * IMAGE_SIZE


def test_what_was_replayed_is_good_when_it_is_asked_for(replaying: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    target.write_bytes(bytes(IMAGE_SIZE))
    ended = replaying.ogcast("restore", "room1@1", target, "--method", "TORRENT-DIRECT", "--no-seed")
    assert ended.code == 0, ended.errors
    assert target.read_bytes() == replaying.image.expected_on(bytes(IMAGE_SIZE))
