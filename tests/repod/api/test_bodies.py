"""Bodies: bounded whatever their header says, and typed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"image": "\xff"}', b"[" * 60_000, b'{"image": 1e999, "method": "x"}'],
)
async def test_malformed_json_is_400(daemon, data) -> None:
    async with daemon() as api:
        status, body, _ = await api.ask("POST", "/v1/sessions", data=data)
        assert (status, body["error"]) == (400, "UsageError")


async def test_a_body_too_large_is_413_whether_it_says_so_or_not(daemon) -> None:
    async def unsaid() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(10_000)

    async with daemon() as api:
        for data in (bytes(70_000), unsaid()):
            status, body, _ = await api.ask("POST", "/v1/captures", data=data)
            assert (status, body["error"]) == (413, "UsageError")
        assert (await api.ask("GET", "/v1/images"))[0] == 200
