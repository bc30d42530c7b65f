"""Requests about sessions: open, report, end; pinned, bounded, expiring."""

from __future__ import annotations

import asyncio

import pytest

from images.manifest import parse_manifest

pytestmark = pytest.mark.asyncio

ASK = {"image": "win", "method": "UNICAST-DIRECT", "host": "pc1", "want": 3}


async def test_a_session_from_its_opening_to_its_last_report(daemon, publish) -> None:
    publish("win", b"abc" * 100_000)
    async with daemon() as api:
        status, opened, _ = await api.ask("POST", "/v1/sessions", json=ASK)
        assert status == 201
        assert opened["offers"][0]["transport"] == "unicast"
        assert opened["image"]["version"] == 1
        path = f"/v1/sessions/{opened['session']}/reports"
        assert (await api.ask("POST", path, json={"state": "transferring", "have": 2, "brake": "disk"}))[0] == 200
        _, listed, _ = await api.ask("GET", "/v1/sessions", role="operator")
        (session,) = listed["sessions"]
        assert (session["image"], session["host"], session["report"]["brake"]) == ("win@1", "pc1", "disk")
        assert "key" not in session
        assert (await api.ask("POST", path, json={"state": "done", "have": 5}))[0] == 200
        assert (await api.ask("POST", path, json={"state": "done", "have": 5}))[0] == 404
        assert (await api.ask("DELETE", f"/v1/sessions/{opened['session']}"))[0] == 204


async def test_a_version_published_meanwhile_does_not_disturb(daemon, publish) -> None:
    publish("win", b"old" * 100_000)
    async with daemon() as api:
        _, first, _ = await api.ask("POST", "/v1/sessions", json=ASK)
        publish("win", b"new" * 100_000)
        _, second, _ = await api.ask("POST", "/v1/sessions", json=ASK)
        assert (first["image"]["version"], second["image"]["version"]) == (1, 2)
        _, data, _ = await api.ask("GET", f"/v1/images/win@{first['image']['version']}/manifest")
        assert parse_manifest(data).root.hex() == first["image"]["root"]


async def test_many_sessions_of_one_image_share_one_manifest(daemon, publish) -> None:
    publish("win", b"abc" * 100_000)
    async with daemon() as api:
        await asyncio.gather(*(api.ask("POST", "/v1/sessions", json=ASK) for _ in range(20)))
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b"ogcast_sessions 20.0" in text
        assert b"ogcast_manifests_pinned 1.0" in text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"image": "nosuch"}, 404),
        ({"image": "../x"}, 400),
        ({"method": "CARRIER-PIGEON"}, 400),
        ({"method": "UNICAST-MOON"}, 400),
        ({"image": 5}, 400),
        ({"host": "x" * 300}, 400),
        ({"image": None}, 400),
    ],
)
async def test_requests_that_make_no_sense_open_nothing(daemon, publish, change, status) -> None:
    publish("win", b"abc" * 1000)
    async with daemon() as api:
        got, body, _ = await api.ask("POST", "/v1/sessions", json={**ASK, **change})
        assert got == status, body
        assert set(body) == {"error", "message", "hint", "code"}
        assert (await api.ask("GET", "/v1/sessions", role="operator"))[1] == {"sessions": []}


async def test_the_limit_is_503_with_retry_after_and_is_counted(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    async with daemon(**{"limits.sessions": 1}) as api:
        _, opened, _ = await api.ask("POST", "/v1/sessions", json=ASK)
        status, body, response = await api.ask("POST", "/v1/sessions", json=ASK)
        assert (status, body["error"]) == (503, "BusyError")
        assert int(response.headers["Retry-After"]) > 0
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b'ogcast_limit_reached_total{limit="sessions"} 1.0' in text
        await api.ask("DELETE", f"/v1/sessions/{opened['session']}")
        assert (await api.ask("POST", "/v1/sessions", json=ASK))[0] == 201


async def test_one_address_is_refused_before_all_sessions_are_taken(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    async with daemon(**{"limits.sessions_per_address": 2}) as api:
        held = [(await api.ask("POST", "/v1/sessions", json=ASK))[1]["session"] for _ in range(2)]
        status, body, response = await api.ask("POST", "/v1/sessions", json=ASK)
        assert (status, body["error"]) == (503, "BusyError")
        assert "limits.sessions_per_address" in body["hint"]
        assert int(response.headers["Retry-After"]) > 0
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b'ogcast_limit_reached_total{limit="sessions_per_address"} 1.0' in text
        assert b'ogcast_limit_reached_total{limit="sessions"} 0.0' in text
        await api.ask("DELETE", f"/v1/sessions/{held[0]}")
        assert (await api.ask("POST", "/v1/sessions", json=ASK))[0] == 201


async def test_a_silent_session_expires(daemon, publish) -> None:
    publish("win", b"abc" * 1000)
    async with daemon(**{"limits.session_idle_s": 1.0}) as api:
        _, opened, _ = await api.ask("POST", "/v1/sessions", json=ASK)
        for _ in range(50):
            if not (await api.ask("GET", "/v1/sessions", role="operator"))[1]["sessions"]:
                break
            await asyncio.sleep(0.2)
        report = {"state": "transferring", "have": 1}
        assert (await api.ask("POST", f"/v1/sessions/{opened['session']}/reports", json=report))[0] == 404
