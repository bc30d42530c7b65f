"""Requests of BitTorrent clients: the secret opens, ranges are exact, and an error never looks like content."""

from __future__ import annotations

import asyncio
import os
import random
import ssl

import bencode2
import pytest
import structlog
import yarl

from core.callers import Callers
from core.ids import ImageRef
from images.exporters.ranged import FileForm
from images.extents import Extents, Kind
from images.repository import Repository
from repod.layout import Layout
from repod.torrents.publications import Publications
from repod.torrents.publishing import publish_image
from tests.repod.proto.test_announce import query
from tests.support.images import make_image

pytestmark = pytest.mark.asyncio

CONTENT = random.Random(12).randbytes(700_000)


@pytest.fixture
def published(layout: Layout, publish):
    publish("win", CONTENT)
    with Repository.open(layout.root) as repository, repository.pin(ImageRef("win")) as pinned:
        return publish_image(
            pinned.manifest, repository, Publications(layout), FileForm.RAW, bases=("https://h:1",), now=0.0
        )


def path_of(published, name: str = "win@1.raw") -> str:
    return f"/torrents/{published.publication.secret}/{name}"


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        (None, 200, (0, 700_000)),
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=65535-131072", 206, (65_535, 131_073)),
        ("bytes=699999-", 206, (699_999, 700_000)),
        ("bytes=-5", 206, (699_995, 700_000)),
        ("bytes=0-", 200, (0, 700_000)),
        ("bytes=0-1,5-6", 200, (0, 700_000)),
    ],
)
async def test_ranges_are_exact_and_need_no_token(daemon, published, asked, status, span) -> None:
    async with daemon() as api:
        headers = {"Range": asked} if asked else {}
        found, data, response = await api.ask("GET", path_of(published), role=None, headers=headers)
    assert (found, data) == (status, CONTENT[slice(*span)])
    assert response.headers["Accept-Ranges"] == "bytes"
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/700000"


async def test_a_range_beyond_the_end_and_a_file_that_changed(daemon, published) -> None:
    async with daemon() as api:
        status, _, response = await api.ask("GET", path_of(published), role=None, headers={"Range": "bytes=700000-"})
        assert (status, response.headers["Content-Range"]) == (416, "bytes */700000")
        etag = response.headers["ETag"]
        for tag, wanted in ((etag, 206), ('"another"', 200)):
            headers = {"Range": "bytes=1-2", "If-Range": tag}
            assert (await api.ask("GET", path_of(published), role=None, headers=headers))[0] == wanted
        status, data, response = await api.ask("HEAD", path_of(published), role=None)
        assert (status, data, response.headers["Content-Length"]) == (200, b"", "700000")


async def test_the_torrent_itself_is_there_for_clients_that_take_a_url(daemon, published) -> None:
    async with daemon() as api:
        status, data, response = await api.ask("GET", path_of(published, "win@1.raw.torrent"), role=None)
    assert (status, data, response.content_type) == (200, published.torrent, "application/x-bittorrent")


@pytest.mark.parametrize("secret", ["x", "x" * 43, "x" * 2000, "%FF%00", "..", "é"])
async def test_without_the_secret_there_is_nothing(daemon, published, secret) -> None:
    async with daemon() as api:
        for path in (f"/torrents/{secret}/win@1.raw", f"/torrents/{secret}/win@1.raw.torrent", f"/announce/{secret}"):
            async with api.http.get(yarl.URL(api.url + path, encoded=secret.startswith("%"))) as response:
                assert response.status == 404
        assert (await api.ask("GET", path_of(published, "linux@1.raw"), role=None))[0] == 404


async def test_announces_are_read_as_bytes(daemon, published) -> None:
    """An info hash is no text: each byte must come through as it is."""
    info_hash = published.publication.announced[0]
    async with daemon() as api:
        for port in (1001, 1002):
            sent = query(info_hash=info_hash, port=str(port), peer_id=bytes(range(236, 256))).decode()
            url = yarl.URL(f"{api.url}/announce/{published.publication.secret}?{sent}", encoded=True)
            async with api.http.get(url) as response:
                answer = bencode2.bdecode(await response.read())
    assert answer[b"peers"] == bytes([127, 0, 0, 1]) + (1001).to_bytes(2, "big")


async def test_who_announces_with_the_secret_is_no_stranger(daemon, published, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[object] = []
    monkeypatch.setattr(Callers, "handle_known", lambda self, caller: known.append(caller))
    sent = query(info_hash=published.publication.announced[0], port="1001", peer_id=bytes(20)).decode()
    async with daemon() as api:
        for secret, count in (("wrong", 0), (published.publication.secret, 1)):
            async with api.http.get(yarl.URL(f"{api.url}/announce/{secret}?{sent}", encoded=True)):
                assert len(known) == count


async def test_the_operator_sees_the_swarm(daemon, published) -> None:
    async with daemon() as api:
        sent = query(info_hash=published.publication.announced[0], left="0").decode()
        url = yarl.URL(f"{api.url}/announce/{published.publication.secret}?{sent}", encoded=True)
        async with api.http.get(url):
            pass
        status, body, _ = await api.ask("GET", "/v1/torrents", role="operator")
        assert (await api.ask("GET", "/v1/torrents"))[0] == 403
        _, text, _ = await api.ask("GET", "/metrics", role=None)
    (row,) = body["torrents"]
    assert (status, row["image"], row["complete"], row["incomplete"]) == (200, "win@1", 1, 0)
    assert "secret" not in row
    assert b"ogcast_torrent_peers 1.0" in text
    assert b'ogcast_torrent_announces_total{outcome="answered"} 1.0' in text


async def test_a_published_image_cannot_be_removed_until_it_is_withdrawn(daemon, layout: Layout, published) -> None:
    async with daemon() as api:
        status, body, _ = await api.ask("DELETE", "/v1/images/win", role="operator")
        assert (status, body["error"]) == (423, "LockedError")
        assert "withdraw" in body["hint"]
        Publications(layout).withdraw("win@1")
        assert (await api.ask("GET", path_of(published), role=None))[0] == 404
        assert (await api.ask("DELETE", "/v1/images/win", role="operator"))[0] == 204


async def test_damage_found_at_once_is_answered_and_found_later_breaks_off(daemon, layout: Layout, published) -> None:
    """Never may the text of an error stand where content is due: a client would take it for bytes of the file."""
    import aiohttp

    with Repository.open(layout.root) as repository, repository.pin(ImageRef("win")) as pinned:
        places = [repository.locate(pinned.manifest.digest(chunk)) for chunk in (0, pinned.manifest.chunk_count - 1)]
        pack = os.readlink(f"/proc/self/fd/{places[0].fd}")
    async with daemon() as api:
        with open(pack, "r+b") as file:  # noqa: ASYNC230
            file.seek(places[1].offset)
            file.write(b"\xff" * 9)
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
            await api.ask("GET", path_of(published), role=None)
        status, body, _ = await api.ask("GET", path_of(published), role=None, headers={"Range": "bytes=-1"})
        assert (status, body["error"]) == (409, "ChunkError")
        status, data, _ = await api.ask("GET", path_of(published), role=None, headers={"Range": "bytes=0-99"})
        assert (status, data) == (206, CONTENT[:100])


async def test_a_client_that_takes_nothing_is_dropped(daemon, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    from repod.api import torrents as module

    monkeypatch.setattr(module, "WRITE_TIMEOUT_S", 0.1)
    published = publish_nothing(layout, size=256 << 20)
    tls = ssl.create_default_context(cafile=str(layout.certificate))
    async with daemon() as api, asyncio.timeout(60):
        port = int(api.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1024)
        writer.write(f"GET {path_of(published, 'void@1.raw')} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for wanted in (b"ogcast_torrent_transfers 1.0", b"ogcast_torrent_transfers 0.0"):
            while wanted not in (await api.ask("GET", "/metrics", role=None))[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.transport.abort()


def publish_nothing(layout: Layout, *, size: int):
    """An image without a chunk: a large file that costs nothing to make."""
    extents = Extents.from_lengths([size], [Kind.SKIP])
    with Repository.open(layout.root) as repository, repository.writer() as writer:
        made = make_image(writer, extents, name="void", chunk_size=1 << 22)
        repository.publish(made.manifest, sign=layout.load_signing_key(), writer=writer)
        with repository.pin(ImageRef("void")) as pinned:
            return publish_image(
                pinned.manifest, repository, Publications(layout), FileForm.RAW, bases=("https://h:1",), now=0.0
            )


async def test_no_log_line_shows_a_secret(daemon, published) -> None:
    secret = published.publication.secret
    with structlog.testing.capture_logs() as lines:
        async with daemon() as api:
            await api.ask("GET", path_of(published), role=None)
            await api.ask("GET", f"/announce/{secret}", role=None)
            await api.ask("GET", f"/torrents/{secret}/x/y", role=None)
    assert any(line.get("path", "").startswith("/torrents/") for line in lines)
    assert secret not in repr(lines)
