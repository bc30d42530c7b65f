"""Telling: one call is a counter, an event and a log line, whatever the fields are called."""

from __future__ import annotations

import logging

import pytest
import structlog

from repod.events import EventHub
from repod.telling import Telling


@pytest.mark.asyncio
async def test_what_happens_is_counted_published_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    hub = EventHub(subscribers=1, queue=10)
    telling = Telling(hub)
    with hub.subscribe() as reader, caplog.at_level(logging.DEBUG):
        telling.tell("capture_opened", name="win", capture="c1")
        telling.tell_mapping("odd", {"event": "x", "level": 3, "logger": "y"})
        _, events = await reader.take()
    assert telling.counts == {"capture_opened": 1, "odd": 1}
    assert events[0].fields == {"name": "win", "capture": "c1"}
    assert events[1].fields["event"] == "x"
    assert telling.happened.is_set()


@pytest.mark.asyncio
async def test_trouble_is_a_warning_and_what_happens_all_the_time_is_only_for_who_debugs() -> None:
    with structlog.testing.capture_logs() as lines:
        telling = Telling(EventHub(subscribers=1, queue=10))
        for name in ("session_opened", "sending_failed", "peer_banned", "lane_opened"):
            telling.tell(name)
    assert [line["log_level"] for line in lines] == ["info", "warning", "warning", "debug"]
