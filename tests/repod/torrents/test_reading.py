"""Open files: pinned while they are read, few when nobody reads them, refused when they are not what was published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from core.errors import ImageError, NotFoundError
from core.ids import ImageRef
from images.repository import Repository
from repod.catalogue import Catalogue
from repod.layout import Layout
from repod.torrents.reading import OPEN_IDLE_MAX, Readers
from tests.repod.torrents.conftest import CONTENT

pytestmark = pytest.mark.asyncio


_withdrawn: set[str] = set()


@pytest_asyncio.fixture
async def readers(layout: Layout) -> AsyncIterator[Readers]:
    with Repository.open(layout.root) as repository:
        made = Readers(Catalogue(repository), is_published=lambda publication: publication.id not in _withdrawn)
        yield made
        made.close()
        made.close()


async def test_a_range_of_an_open_file(readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication
    async with readers.file(publication) as opened:
        assert await readers.read(opened, 65_530, 20) == CONTENT[65_530:65_550]
        async with readers.file(publication) as again:
            assert again is opened
    assert len(readers) == 1


async def test_what_is_open_stays_readable_after_rm_and_gc(layout: Layout, readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication
    async with readers.file(publication) as opened:
        with Repository.open(layout.root) as repository:
            repository.remove(ImageRef("win"))  # by hand: the commands refuse
            repository.gc()
        assert await readers.read(opened, 0, len(CONTENT)) == CONTENT


async def test_few_idle_files_stay_open(readers: Readers, publish_torrent) -> None:
    for number in range(OPEN_IDLE_MAX + 3):
        async with readers.file(publish_torrent(f"win{number}").publication):
            pass
    assert len(readers) == OPEN_IDLE_MAX


async def test_a_withdrawn_file_is_closed_when_its_readers_know(readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication
    async with readers.file(publication) as opened:
        readers.withdraw(publication.id)
        assert opened.withdrawn
        assert opened.pin.held
        assert len(readers) == 0
    assert not opened.pin.held
    readers.withdraw(publication.id)


async def test_what_nobody_reads_is_closed_when_it_is_withdrawn(readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication
    async with readers.file(publication) as opened:
        pass
    assert opened.pin.held
    readers.withdraw(publication.id)
    assert not opened.pin.held


async def test_what_is_withdrawn_while_it_is_opened_is_not_kept_open(readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication

    async def read() -> None:
        async with readers.file(publication):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)  # it waits for the manifest
    _withdrawn.add(publication.id)
    readers.withdraw(publication.id)
    with pytest.raises(NotFoundError, match="withdrawn"):
        await reading
    assert len(readers) == 0


async def test_a_file_that_is_not_what_was_published_is_not_opened(readers: Readers, publish_torrent) -> None:
    publication = publish_torrent().publication
    for changes, error in (
        ({"root": "00" * 32}, ImageError),
        ({"length": publication.length + 1}, ImageError),
        ({"image": "win@7"}, NotFoundError),
    ):
        with pytest.raises(error):
            async with readers.file(msgspec.structs.replace(publication, **changes)):
                pass
    assert len(readers) == 0
