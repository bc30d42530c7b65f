"""`ogcast cache …` against the real daemon."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from core.ids import Digest, ImageRef
from images.repository import Repository
from tests.client.conftest import ROOT, Room, damage_chunk, digests_of


def test_a_damaged_cache_is_named_mended_chunk_by_chunk_and_then_whole(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    digest = digests_of(cache)[5]
    damage_chunk(cache, digest)
    named = room.ogcast("cache", "verify", "--cache", cache)
    assert named.code == 5
    assert [event["digest"] for event in named.events if event["event"] == "damaged-chunk"] == [digest.hex()]
    mended = room.ogcast("cache", "verify", "--mend", "--cache", cache)
    assert mended.code == 0, mended.errors
    assert 0 < mended.last["bytes_fetched"] <= 65536
    assert room.ogcast("cache", "verify", "--cache", cache).code == 0


def test_what_is_missing_is_not_told_as_damaged(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    with Repository.open(cache) as store:
        assert store.forget(digests_of(cache)[3:5]) == 2
    named = room.ogcast("cache", "verify", "--cache", cache)
    assert named.code == 5
    assert f"the CACHE {cache} has 2 missing chunk(s)" in named.last["message"]
    assert ": 2 missing chunk(s), mended" in _said(room, cache, mend=True)
    assert room.ogcast("cache", "verify", "--cache", cache).code == 0


def test_a_manifest_that_cannot_be_read_is_told_and_mended(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    (manifest,) = (cache / "manifests").glob("*/*.ogm")
    manifest.write_bytes(b"noise")
    assert "1 unreadable manifest(s), mended" in _said(room, cache, mend=True)
    assert "all as they should be" in _said(room, cache)


def test_what_the_repository_has_no_more_is_named_and_the_rest_is_mended(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source = tmp_path / "disk.img"
    content = random.Random(5).randbytes(3 << 20)
    for name, alone in (("goes", b"a"), ("stays", b"b")):
        source.write_bytes(content + alone * (1 << 20))
        _repod(room, "import", source, "--name", name)
        assert room.ogcast("update-cache", name, "--cache", cache).code == 0
    _repod(room, "rm", "goes")
    with Repository.open(cache) as store:
        goes, stays = (_chunks_of(store, name) for name in ("goes", "stays"))
        store.forget([min(goes & stays)])
    mended = room.ogcast("cache", "verify", "--mend", "--cache", cache)  # both share it
    assert mended.code == 0, mended.errors
    with Repository.open(cache) as store:
        store.forget([min(goes & stays), *(goes - stays)])
    named = room.ogcast("cache", "verify", "--mend", "--cache", cache)
    assert (named.code, "does not have goes@1 any more" in named.last["message"]) == (5, True)
    assert "cache rm" in named.last["hint"]
    assert room.ogcast("cache", "verify", "stays", "--cache", cache).code == 0


def _chunks_of(store: Repository, name: str) -> set[Digest]:
    with store.pin(ImageRef(name)) as pinned:
        return set(pinned.manifest.digests())


def _repod(room: Room, command: str, *words: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", "repod", command, room.root, *words], capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def _said(room: Room, cache: Path, *, mend: bool = False) -> str:
    """What a person reads of a verification that ends well."""
    command = [sys.executable, "-m", "client", "--config", str(room.config), "--repo", room.url, "cache", "verify"]
    options = ["--cache", str(cache), *(["--mend"] if mend else [])]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_cache_is_listed_removed_from_and_collected(room: Room, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert room.ogcast("update-cache", "room1", "--cache", cache).code == 0
    listed = room.ogcast("cache", "ls", "--cache", cache)
    assert [image["image"] for image in listed.last["images"]] == ["room1@1"]
    assert listed.last["images"][0]["complete"] is True
    assert room.ogcast("cache", "rm", "room1", "--cache", cache).code == 0
    for again in (("cache", "rm"), ("cache", "verify")):
        missing = room.ogcast(*again, "room1", "--cache", cache)
        assert missing.code == 2
        assert "in the CACHE" in missing.errors
        assert "update-cache" in missing.last["hint"]
    collected = room.ogcast("cache", "gc", "--cache", cache)
    assert collected.code == 0
    assert collected.last["bytes_freed"] > 0
