"""The application as a whole, fuzzed: an answer with a documented status, and a daemon that goes on."""

from __future__ import annotations

import asyncio
import random

import pytest

from repod.api.application import all_routes, make_application

DOCUMENTED = {200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 423, 429, 503, 507}


@pytest.mark.asyncio
async def test_requests_of_noise_get_documented_answers(daemon, publish) -> None:
    rng = random.Random(7)
    pieces = ["v1", "images", "sessions", "captures", "events2", "a", "a@1", "..", "%2e", "%00", "x" * 500, "%FF", "*"]
    publish("a", b"x" * 1000)
    async with daemon() as api:

        async def one() -> None:
            import yarl

            url = yarl.URL(f"{api.url}/{'/'.join(rng.choices(pieces, k=rng.randint(0, 5)))}", encoded=True)
            method = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
            headers = {"Authorization": f"Bearer {api.tokens[rng.choice(['client', 'operator', 'wrong'])]}"}
            data = rng.randbytes(rng.randint(0, 300)) if method in ("POST", "PUT") else None
            async with api.http.request(method, url, headers=headers, data=data) as response:
                assert response.status in DOCUMENTED, (method, url)
                await response.read()

        for _ in range(20):
            await asyncio.gather(*(one() for _ in range(10)))
        assert (await api.ask("GET", "/healthz", role=None))[0] == 200


@pytest.mark.asyncio
async def test_bytes_that_are_no_http_do_not_disturb(daemon, layout) -> None:
    import ssl

    rng = random.Random(8)
    tls = ssl.create_default_context(cafile=str(layout.certificate))
    async with daemon() as api:
        port = int(api.url.rsplit(":", 1)[1])
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            writer.write(rng.randbytes(200) + b"\r\n\r\n")
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await writer.wait_closed()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(rng.randbytes(200))
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert (await api.ask("GET", "/healthz", role=None))[0] == 200


def test_every_route_has_a_handler_of_its_own() -> None:
    handlers = [route.handler for route in all_routes()]
    assert len(set(handlers)) == len(handlers)
    assert callable(make_application)
