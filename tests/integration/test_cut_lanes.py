"""A connection cut at every boundary between two messages, and within them: restore and capture come to their end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.app import app
from core.cli import run
from core.ids import ImageRef
from images.digest import digest_of
from images.extents import Extents
from images.repository import Repository
from tests.client.conftest import Room, make_room
from tests.support.cutting_proxy import HEADER_BYTES, CuttingProxy
from tests.support.images import make_image

CHUNK_BYTES = 65536
SIZE = 5 * CHUNK_BYTES + 512
LANES = "127.0.9.1"
"""Where clients are told that the lanes are: the proxy."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = make_room(tmp_path_factory.mktemp("cut"))
    settings = made.root / "repod.toml"
    settings.write_text(f"chunk_size = {CHUNK_BYTES}\n{settings.read_text()}")
    try:
        made.serve("--advertise", LANES)
        yield made
    finally:
        made.close()


@pytest.fixture
def proxy(room: Room) -> Iterator[CuttingProxy]:
    with CuttingProxy(LANES, room.port + 1) as made:
        yield made


@pytest.fixture
def ogcast(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Run the command in this process, many times in a row, and give its last event."""
    monkeypatch.setenv("OGCAST_STATE_DIR", str(tmp_path / "state"))

    def run_one(*arguments: str | Path) -> dict[str, Any]:
        code = run(app, ["--config", str(room.config), "--repo", room.url, "--json", *map(str, arguments)])
        told = capfd.readouterr()
        assert code == 0, told.err
        return dict(json.loads(told.out.splitlines()[-1]))

    return run_one


def places_of(frames: int) -> list[tuple[int, int]]:
    """Whole frames that pass and bytes of the next: cuts after each frame, and within headers and payloads in turn."""
    return [(passed, more) for passed in range(frames) for more in (0, (7, HEADER_BYTES + 1)[passed % 2])]


def test_a_restore_survives_a_cut_at_every_boundary(
    room: Room, proxy: CuttingProxy, ogcast: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with Repository.open(room.root) as repository, repository.writer(purpose="test") as writer:
        image = make_image(writer, Extents.all_data(SIZE), name="small")
        repository.publish(image.manifest, sign=room.key(), writer=writer)
    ogcast("restore", "small", tmp_path / "whole")
    frames = proxy.passed
    assert frames >= 7 + 6  # negotiate, session and open with their replies, a read, a reply a chunk
    reconnects = 0
    for passed, more in places_of(frames):
        proxy.cut(passed, more=more)
        target = tmp_path / "target"
        done = ogcast("restore", "small", target)
        assert target.read_bytes() == image.content, (passed, more)
        assert (done["chunks_fetched"], done["bad_chunks"]) == (done["chunks"], 0), (passed, more)
        reconnects += done["reconnects"]
        target.unlink()
    assert reconnects >= 2 * (frames - 2)  # at the end nothing is lacking any more, and nobody comes back


def test_a_capture_survives_a_cut_at_every_boundary(
    room: Room, proxy: CuttingProxy, ogcast: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    def source(seed: int) -> Path:
        path = tmp_path / "source"
        path.write_bytes(random.Random(seed).randbytes(SIZE))
        return path

    ogcast("capture", source(0), "whole")
    frames = proxy.passed
    assert frames >= 8 + 12  # negotiate, session, lock and have with their replies, a write and its reply a chunk
    for number, (passed, more) in enumerate(places_of(frames), 1):
        proxy.cut(passed, more=more)
        path = source(number)
        assert ogcast("capture", path, f"capture{number}")["image"] == f"capture{number}@1", (passed, more)
        pieces = [path.read_bytes()[at : at + CHUNK_BYTES] for at in range(0, SIZE, CHUNK_BYTES)]
        with Repository.open(room.root, read_only=True) as repository:
            with repository.pin(ImageRef(f"capture{number}")) as pinned:
                assert pinned.manifest.digests() == [digest_of(piece) for piece in pieces]
            report = repository.verify(refs=[ImageRef(f"capture{number}")])
            assert (report.damaged_chunks, report.damaged_images) == ((), ())
