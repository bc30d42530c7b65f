"""Telling: one call is a counter, an event and a log line, whatever the fields are called."""

from __future__ import annotations

import logging

import pytest

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
