"""Watching the daemon."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.asyncio


async def test_health_needs_no_token(daemon) -> None:
    async with daemon() as api:
        assert (await api.ask("GET", "/healthz", role=None))[:2] == (200, {"status": "ok"})


async def test_a_stopping_daemon_says_so_and_takes_no_new_sessions(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    ask = {"image": "win", "method": "UNICAST"}
    async with daemon(**{"limits.grace_s": 2.0}) as api, asyncio.timeout(20):
        _, opened, _ = await api.ask("POST", "/v1/sessions", json=ask)
        api.stop.set()
        for _ in range(100):
            if (await api.ask("GET", "/healthz", role=None))[0] == 503:
                break
            await asyncio.sleep(0.01)
        status, body, _ = await api.ask("POST", "/v1/sessions", json=ask)
        assert (status, body["error"]) == (503, "BusyError")
        assert (await api.ask("POST", "/v1/captures", json={"name": "x"}))[0] == 503
        report = {"state": "done", "have": 1}  # what runs may end
        assert (await api.ask("POST", f"/v1/sessions/{opened['session']}/reports", json=report))[0] == 200


async def test_metrics_are_prometheus_text(daemon) -> None:
    async with daemon() as api:
        status, text, response = await api.ask("GET", "/metrics", role=None)
        assert (status, response.content_type) == (200, "text/plain")
        for name in (b"ogcast_sessions", b"process_resident_memory_bytes", b"ogcast_transport_bytes_sent_total"):
            assert name in text
