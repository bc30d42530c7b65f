"""Reading the repository: facts kept, manifests shared, versions that come back told apart."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from core.errors import ManifestError, NotFoundError
from core.ids import ImageRef
from images.repository import Repository
from repod.catalogue import Catalogue, image_info
from repod.layout import Layout

pytestmark = pytest.mark.asyncio


async def test_pins_of_one_version_share_a_manifest_until_the_last_is_released(layout: Layout, publish) -> None:
    publish("win", b"x" * 100_000)
    with Repository.open(layout.root) as repository:
        catalogue = Catalogue(repository)
        pins = await asyncio.gather(*(catalogue.pin(ImageRef("win")) for _ in range(5)))
        assert len({id(pin.manifest) for pin in pins}) == 1
        assert catalogue.pinned == 1
        for pin in pins:
            assert catalogue.pinned == 1
            pin.release()
            pin.release()
        assert catalogue.pinned == 0


async def test_a_version_number_that_comes_back_is_another_image(layout: Layout, publish) -> None:
    publish("win", b"x" * 100_000)
    with Repository.open(layout.root) as repository:
        catalogue = Catalogue(repository)
        old = await catalogue.pin(ImageRef("win"))
        before = await catalogue.info(ImageRef("win"))
        catalogue.repository.remove(ImageRef("win"))
        with pytest.raises(NotFoundError):
            await catalogue.pin(ImageRef("win"))
        assert await catalogue.images() == []
        publish("win", b"y" * 100_000)
        new = await catalogue.pin(ImageRef("win"))
        after = await catalogue.info(ImageRef("win"))
        assert old.manifest.root != new.manifest.root
        assert (before.root, after.root) == (old.manifest.root.hex(), new.manifest.root.hex())
        old.release()
        new.release()


async def test_a_lost_chunk_does_not_keep_an_image_off_the_list(layout: Layout, publish) -> None:
    publish("win", b"x" * 100_000)
    with Repository.open(layout.root) as repository, repository.pin(ImageRef("win")) as pinned:
        whole = image_info(repository, pinned.manifest).stored_bytes
        repository.forget([pinned.manifest.digest(0)])
        assert 0 <= image_info(repository, pinned.manifest).stored_bytes < whole


async def test_a_damaged_manifest_is_told_in_the_log_by_its_file(layout: Layout, publish) -> None:
    publish("win", b"x" * 100_000)
    publish("other", b"y" * 100_000)
    with Repository.open(layout.root) as repository:
        file = repository.find(ImageRef("win")).path
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-1])
        catalogue = Catalogue(repository)
        with capture_logs() as lines, pytest.raises(ManifestError):
            await catalogue.pin(ImageRef("win"))
        assert [line["file"] for line in lines] == [str(file)]
        with capture_logs() as lines:
            assert [info.name for info in await catalogue.images()] == ["other"]
        assert [line["file"] for line in lines] == [str(file)]


async def test_an_image_that_is_removed_between_two_looks_is_not_found(
    layout: Layout, publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("win", b"x" * 100_000)
    with Repository.open(layout.root) as repository:
        catalogue = Catalogue(repository)
        entry = repository.find(ImageRef("win"))
        repository.remove(entry.ref)
        monkeypatch.setattr(repository, "find", lambda ref: entry)
        monkeypatch.setattr(repository, "images", lambda: [entry])
        with pytest.raises(NotFoundError):
            await catalogue.info(ImageRef("win"))
        with pytest.raises(NotFoundError):
            await catalogue.pin(ImageRef("win"))
        assert await catalogue.images() == []
