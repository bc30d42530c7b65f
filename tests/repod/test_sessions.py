"""Sessions through a real lane: the want of a client, whose break and return repod sees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.arena import Arena
from core.errors import UsageError
from core.ids import SessionId
from core.wantmap import WantMap
from images.manifest import parse_manifest
from images.repository import Repository
from repod.daemon import build_daemon
from repod.layout import Layout
from repod.settings import load_settings
from transports.base import ClientContext, Offer
from transports.control import SessionRequest
from transports.registry import by_name, load_client

pytestmark = pytest.mark.asyncio


async def test_a_lane_is_seen_and_a_removed_image_goes_on_being_served(daemon, publish) -> None:
    publish("win", bytes(range(256)) * 2000)
    async with daemon() as api, asyncio.timeout(30):
        _, opened, _ = await api.ask("POST", "/v1/sessions", json={"image": "win", "method": "unicast", "want": 8})
        _, data, _ = await api.ask("GET", "/v1/images/win/manifest")
        manifest = parse_manifest(data)
        assert (await api.ask("DELETE", "/v1/images/win", role="operator"))[0] == 204
        import base64

        offer = Offer(transport="unicast", parameters=opened["offers"][0]["parameters"])
        context = ClientContext(
            repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None
        )
        client = load_client(by_name("unicast"))(context)
        want = WantMap(manifest.chunk_count)
        arena = Arena(slot_bytes=manifest.chunk_size + 65536, slots=4)
        fetching = client.fetch(
            offer,
            session_id=SessionId(opened["session"]),
            key=base64.b64decode(opened["key"]),
            manifest=manifest,
            want=want,
            arena=arena,
        )
        lanes = []
        async with fetching as incoming:
            async for delivery in incoming:
                want.discard(delivery.chunk)
                incoming.accept(delivery)
                delivery.release()
                if not lanes:
                    _, listed, _ = await api.ask("GET", "/v1/sessions", role="operator")
                    lanes.append(listed["sessions"][0]["lanes"])
        assert len(want) == 0
        assert lanes == [1]
        for _ in range(50):
            _, listed, _ = await api.ask("GET", "/v1/sessions", role="operator")
            if listed["sessions"][0]["lanes"] == 0:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the end of the lane was not seen")
        await api.ask("DELETE", f"/v1/sessions/{opened['session']}")
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b"ogcast_manifests_pinned 0.0" in text


async def test_who_only_gives_is_nobody_who_takes_the_image(daemon, publish) -> None:
    publish("win", b"x" * 1000)

    async with daemon() as api:

        async def opened(want: int) -> dict[str, Any]:
            _, answer, _ = await api.ask(
                "POST", "/v1/sessions", json={"image": "win", "method": "torrent", "want": want}
            )
            return answer

        async def reported(session: dict[str, Any], **report: Any) -> dict[str, Any]:
            path = f"/v1/sessions/{session['session']}/reports"
            status, answer, _ = await api.ask("POST", path, json={"transport": "p2p", "have": 0, **report})
            assert status == 200, answer
            return answer["room"]

        giver, taker = await opened(0), await opened(1)
        assert (taker["room"]["sessions"], taker["room"]["near"]) == (1, 1)
        await reported(giver, state="giving")
        assert await reported(taker, state="transferring") == {"sessions": 1, "near": 1, "others": {}}
        other = await opened(1)
        assert (other["room"]["sessions"], other["room"]["others"]) == (2, {"p2p": 1})


async def test_a_session_that_cannot_be_offered_holds_nothing(layout: Layout, publish) -> None:
    publish("win", b"x" * 1000)
    settings = load_settings(layout, flags={"port": 0}).value
    with Repository.open(layout.root) as repository:
        daemon = build_daemon(layout, repository, settings)
        await daemon.lanes.start(settings, host="127.0.0.1", advertise=None, control_port=0)
        with pytest.raises(UsageError):
            await daemon.sessions.open(SessionRequest(image="win", method="torrent", options="sower:60"), address="")
        assert (len(daemon.sessions.table), daemon.catalogue.pinned) == (0, 0)
        await daemon.lanes.stop()
