"""The event stream: what happens arrives, in order, and readers are bounded."""

from __future__ import annotations

import asyncio
import json

import pytest

pytestmark = pytest.mark.asyncio


async def test_a_session_can_be_followed_and_the_stream_ends_with_the_daemon(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    seen = []
    async with daemon() as api, asyncio.timeout(20):
        headers = {"Authorization": f"Bearer {api.tokens['operator']}"}
        async with api.http.get(api.url + "/v1/events", headers=headers) as response:
            assert response.content_type == "text/event-stream"
            assert (await response.content.readline()).startswith(b":")
            _, opened, _ = await api.ask(
                "POST", "/v1/sessions", json={"image": "win", "method": "unicast", "host": "pc1"}
            )
            await api.ask("POST", f"/v1/sessions/{opened['session']}/reports", json={"state": "done", "have": 1})
            api.stop.set()
            async for line in response.content:
                if line.startswith(b"event: "):
                    seen.append(line.decode().split()[1])
                if line.startswith(b"data: "):
                    assert isinstance(json.loads(line[6:])["time"], float)
    assert seen == ["session_opened", "session_report", "session_closed", "stopping"]


async def test_readers_are_told_what_became_of_the_sessions_of_a_stopping_daemon(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    async with daemon() as api, asyncio.timeout(20):
        headers = {"Authorization": f"Bearer {api.tokens['operator']}"}
        async with api.http.get(api.url + "/v1/events", headers=headers) as response:
            await api.ask("POST", "/v1/sessions", json={"image": "win", "method": "unicast", "host": "pc1"})
            api.stop.set()
            names = [line.decode().split()[1] async for line in response.content if line.startswith(b"event: ")]
    assert names == ["session_opened", "stopping", "session_closed"]


async def test_readers_are_bounded(daemon) -> None:
    async with daemon(**{"limits.event_subscribers": 1}) as api:
        headers = {"Authorization": f"Bearer {api.tokens['operator']}"}
        async with api.http.get(api.url + "/v1/events", headers=headers) as response:
            assert response.status == 200
            status, body, _ = await api.ask("GET", "/v1/events", role="operator")
            assert (status, body["error"]) == (503, "BusyError")
