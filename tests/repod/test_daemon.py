"""The daemon's parts together: winding down gives grace, then tells and closes."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.ids import ImageRef
from images.repository import Repository
from repod.daemon import build_daemon
from repod.layout import Layout
from repod.settings import load_settings
from transports.control import SessionReport, SessionRequest

pytestmark = pytest.mark.asyncio

ASK = SessionRequest(image="win", method="unicast")


async def test_a_session_that_ends_in_time_is_not_cut_and_one_that_does_not_is_told(layout: Layout, publish) -> None:
    publish("win", b"x" * 1000)
    settings = load_settings(layout, flags={"port": 0, "limits.grace_s": 0.3}).value
    with Repository.open(layout.root) as repository:
        daemon = build_daemon(layout, repository, settings)
        await daemon.lanes.start(settings, host="127.0.0.1", advertise=None, control_port=0)
        ends, stays = [await daemon.sessions.open(ASK, address="") for _ in range(2)]
        with daemon.events.subscribe() as reader:
            started = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(daemon.wind_down())
                await asyncio.sleep(0)
                daemon.sessions.report(ends.session, SessionReport(state="done", have=1))
            _, events = await reader.take()
        assert time.monotonic() - started >= 0.25
        reasons = {
            event.fields["session"]: event.fields["reason"] for event in events if event.name == "session_closed"
        }
        assert reasons == {ends.session: "done", stays.session: "the repository is stopping"}
        assert (len(daemon.sessions.table), daemon.catalogue.pinned) == (0, 0)


async def test_winding_down_an_idle_daemon_takes_no_time(layout: Layout) -> None:
    settings = load_settings(layout, flags={"port": 0, "limits.grace_s": 60}).value
    with Repository.open(layout.root) as repository:
        daemon = build_daemon(layout, repository, settings)
        await daemon.lanes.start(settings, host="127.0.0.1", advertise=None, control_port=0)
        async with asyncio.timeout(5):
            await daemon.wind_down()


async def test_images_of_other_processes_are_told(daemon, layout: Layout, publish) -> None:
    async with daemon() as api, asyncio.timeout(20):
        headers = {"Authorization": f"Bearer {api.tokens['operator']}"}
        async with api.http.get(api.url + "/v1/events", headers=headers) as response:
            await response.content.readline()
            publish("win", b"x" * 1000)
            async for line in response.content:
                if line == b"event: image_added\n":
                    break
            with Repository.open(layout.root) as repository:
                repository.remove(ImageRef("win"))
            async for line in response.content:
                if line == b"event: image_gone\n":
                    break
