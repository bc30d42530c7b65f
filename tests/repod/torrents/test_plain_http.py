"""Plain HTTP: nothing listens unless it is switched on, and nothing a token guards is there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core.errors import LockedError
from repod.settings import load_settings
from repod.torrents.plain_http import plain_http

pytestmark = pytest.mark.asyncio


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_it_serves_torrents_and_nothing_else(daemon, publish_torrent) -> None:
    port = free_port()
    publication = publish_torrent().publication
    async with daemon(**{"torrents.http_port": port}) as api:
        base = f"http://127.0.0.1:{port}"
        async with api.http.get(f"{base}/torrents/{publication.secret}/win@1.raw") as response:
            assert (response.status, len(await response.read())) == (200, publication.length)
        for path in ("/", "/healthz", "/metrics", "/v1/images", "/v1/openapi.json", "/v1/torrents", "/scrape"):
            async with api.http.get(base + path) as response:
                assert response.status == 404


async def test_a_taken_port_names_the_setting(daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(20), daemon(**{"torrents.http_port": taken.getsockname()[1]}):
                pass
        assert caught.group_contains(LockedError, match="in use")


async def test_nothing_listens_by_default(layout) -> None:
    class Stub:
        settings = load_settings(layout).value

    async with plain_http(Stub(), "127.0.0.1") as port:  # type: ignore[arg-type]
        assert port is None
