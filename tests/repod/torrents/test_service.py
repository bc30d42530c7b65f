"""What BitTorrent clients are served, without HTTP: announces by secret, downloads in turn, withdrawal at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import bencode2
import pytest
import pytest_asyncio

from core.errors import BusyError, NotFoundError
from images.repository import Repository
from repod.catalogue import Catalogue
from repod.events import EventHub
from repod.layout import Layout
from repod.proto import places
from repod.settings import Torrents
from repod.telling import Telling
from repod.torrents.publications import Publications
from repod.torrents.service import READ_BYTES, TorrentService
from tests.repod.proto.test_announce import query
from tests.repod.torrents.conftest import CONTENT

pytestmark = pytest.mark.asyncio
HOST = "10.0.0.1"


@pytest_asyncio.fixture
async def make(layout: Layout) -> AsyncIterator[Callable[..., TorrentService]]:
    with Repository.open(layout.root) as repository:
        made: list[TorrentService] = []

        def build(**settings: int) -> TorrentService:
            telling = Telling(EventHub(subscribers=1, queue=1))
            service = TorrentService(
                Publications(layout), Catalogue(repository), telling, Torrents(**settings), clock=lambda: 0.0
            )
            made.append(service)
            return service

        yield build
        for service in made:
            service.close()


async def test_peers_meet_under_each_hash_of_the_torrent(make, publish_torrent) -> None:
    service = make()
    publication = publish_torrent().publication
    for info_hash in publication.announced:
        first = bencode2.bdecode(service.announce(publication.secret, query(info_hash=info_hash), "10.0.0.1"))
        assert first[b"peers"] == b""
        again = bencode2.bdecode(service.announce(publication.secret, query(info_hash=info_hash), "::ffff:10.0.0.2"))
        assert again[b"peers"] == bytes([10, 0, 0, 1]) + (6881).to_bytes(2, "big")
    assert service.overview()[0]["incomplete"] == 6


async def test_a_link_local_address_is_one(make, publish_torrent) -> None:
    service = make()
    publication = publish_torrent().publication
    service.announce(publication.secret, query(info_hash=publication.announced[0]), "fe80::1%eth0")
    answer = service.announce(publication.secret, query(info_hash=publication.announced[0]), "fe80::2%eth0")
    assert len(bencode2.bdecode(answer)[b"peers6"]) == 18


async def test_refusals_are_answers_that_say_why(make, publish_torrent) -> None:
    service = make(peers=1)
    one, other = publish_torrent().publication, publish_torrent("linux").publication
    right = query(info_hash=one.announced[0])
    assert b"failure" not in service.announce(one.secret, right, "10.0.0.1")
    for secret, sent, why in (
        (one.secret, b"", b"port"),
        (one.secret, query(info_hash=other.announced[0]), b"another torrent"),
        (one.secret, query(info_hash=b"x" * 20), b"another torrent"),
    ):
        answer = bencode2.bdecode(service.announce(secret, sent, "10.0.0.2"))
        assert why in answer[b"failure reason"]
    assert service.malformed == 1
    with pytest.raises(NotFoundError):
        service.announce("x" * 43, right, "10.0.0.1")


async def test_a_withdrawn_torrent_is_forgotten_and_its_downloads_end(layout: Layout, make, publish_torrent) -> None:
    service = make()
    publication = publish_torrent().publication
    service.announce(publication.secret, query(info_hash=publication.announced[0]), "10.0.0.1")
    async with service.download(publication, HOST) as opened:
        parts = service.parts(opened, 0, publication.length)
        assert await anext(parts) == CONTENT[:READ_BYTES]
        Publications(layout).withdraw(publication.id)
        service.tick()
        assert service.tracker.peers == 0
        with pytest.raises(NotFoundError):
            await anext(parts)
    with pytest.raises(NotFoundError):
        service.publication(publication.secret)
    assert service.overview() == []


async def test_downloads_wait_for_their_turn_and_too_many_are_told_to_come_again(
    make, publish_torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "WAITING_MAX", 1)
    service = make(transfers=1)
    publication = publish_torrent().publication

    async def read() -> bytes:
        async with service.download(publication, HOST) as opened:
            return b"".join([part async for part in service.parts(opened, 1, 9)])

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service.download(publication, HOST))
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0)
        assert service.sending == 1
        with pytest.raises(BusyError):
            await read()
        assert not waiting.done()
    assert await waiting == CONTENT[1:9]
    assert (service.sending, service.refused, service.bytes_sent) == (0, 1, 8)


async def test_who_gives_up_waiting_gives_its_turn_back(make, publish_torrent) -> None:
    service = make(transfers=1)
    publication = publish_torrent().publication
    async with service.download(publication, HOST):
        waiting = asyncio.create_task(service.download(publication, HOST).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with service.download(publication, HOST):
        assert service.sending == 1


async def test_an_address_that_holds_its_downloads_open_shuts_nobody_out(make, publish_torrent) -> None:
    service = make(transfers=4)
    publication = publish_torrent().publication
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service.download(publication, "10.0.0.66"))
        waiting = [asyncio.create_task(service.download(publication, "10.0.0.66").__aenter__()) for _ in range(9)]
        await asyncio.sleep(0)
        assert service.sending == 1
        async with asyncio.timeout(10), service.download(publication, HOST) as opened:
            assert [part async for part in service.parts(opened, 0, 9)] == [CONTENT[:9]]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert service.sending == 0


async def test_a_damaged_list_does_not_stop_the_clock(layout: Layout, make) -> None:
    service = make()
    layout.torrents.write_text("?")
    service.tick()
