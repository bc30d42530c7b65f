from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.ids import ImageRef
from images.repository import Repository
from images.signing import SigningKey
from images.store.verify import VerifyProgress
from tests.support.repositories import CHUNK, KEY, publish

RECORD = 64 + CHUNK


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        publish(made, seed=1, chunks=4)
        publish(made, seed=2, chunks=4, name="room2")
        yield made


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def test_an_undamaged_repository_is_said_to_be_so(repository: Repository) -> None:
    seen: list[VerifyProgress] = []
    report = repository.verify(public_key=KEY.public, progress=seen.append)
    assert report.ok
    assert (report.chunks_checked, report.bytes_checked, report.images_checked) == (8, 8 * CHUNK, 2)
    assert [at.chunks_done for at in seen] == list(range(1, 9))
    assert (seen[-1].chunks_total, seen[-1].bytes_done, seen[-1].bytes_total) == (8, 8 * CHUNK, 8 * CHUNK)


@pytest.mark.parametrize(
    ("place", "reason"), [(64 + 100, "damaged stored bytes"), (4, "damaged record header"), (60, "damaged record")]
)
def test_a_flipped_bit_is_found_with_its_chunk_pack_and_image(repository: Repository, place: int, reason: str) -> None:
    flip(repository.paths.pack(2), 16 + 2 * RECORD + place)
    report = repository.verify(workers=2)
    with repository.pin(ImageRef("room2")) as pinned:
        assert [chunk.digest for chunk in report.damaged_chunks] == [pinned.manifest.digest(2)]
    (chunk,) = report.damaged_chunks
    assert (chunk.pack, chunk.offset) == (2, 16 + 2 * RECORD + 64)
    assert reason in chunk.reason
    assert [(image.ref, image.chunks) for image in report.damaged_images] == [(ImageRef("room2", 1), 1)]


def test_only_the_images_asked_for_are_read(repository: Repository) -> None:
    flip(repository.paths.pack(2), 16 + 64)
    assert repository.verify(refs=[ImageRef("room1")]).ok
    report = repository.verify(refs=[ImageRef("room2", 1)])
    assert [str(image) for image in report.damaged_images] == ["room2@1: 1 chunks are damaged or missing"]


def test_a_chunk_that_is_not_in_the_index_is_noticed(repository: Repository) -> None:
    with repository.pin(ImageRef("room1")) as pinned:
        repository.forget([pinned.manifest.digest(3)])
    for report in (repository.verify(), repository.verify(refs=[ImageRef("room1")])):
        assert [(chunk.pack, chunk.reason) for chunk in report.damaged_chunks] == [(None, "not in the index")]
        assert [image.ref.name for image in report.damaged_images] == ["room1"]


def test_a_lost_or_cut_pack_is_noticed(repository: Repository) -> None:
    repository.paths.pack(1).unlink()
    with repository.paths.pack(2).open("r+b") as file:
        file.truncate(16 + 3 * RECORD + 100)
    report = repository.verify()
    assert [chunk.reason for chunk in report.damaged_chunks] == ["its pack is missing"] * 4 + ["truncated record"]


def test_damaged_and_foreign_manifests_are_named(repository: Repository) -> None:
    flip(repository.find(ImageRef("room1")).path, 300)
    report = repository.verify(public_key=KEY.public)
    assert [image.ref for image in report.damaged_images] == [ImageRef("room1", 1)]
    report = repository.verify(public_key=SigningKey.generate().public)
    assert len(report.damaged_images) == 2
    assert report.damaged_chunks == ()


def test_a_repository_without_images_is_fine(tmp_path: Path) -> None:
    with Repository.create(tmp_path / "empty") as empty:
        assert empty.verify().ok
