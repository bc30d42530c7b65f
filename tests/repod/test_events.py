"""Events: fanned out, bounded for each reader, losses counted, publishers never wait."""

from __future__ import annotations

import pytest

from core.errors import BusyError
from repod.events import EventHub

pytestmark = pytest.mark.asyncio


async def test_every_reader_gets_every_event_in_order() -> None:
    hub = EventHub(subscribers=2, queue=10)
    with hub.subscribe() as one, hub.subscribe() as two:
        for number in range(3):
            hub.publish("x", time=0.0, fields={"n": number})
        for reader in (one, two):
            dropped, events = await reader.take()
            assert (dropped, [event.fields["n"] for event in events]) == (0, [0, 1, 2])
            assert [event.number for event in events] == [1, 2, 3]


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    hub = EventHub(subscribers=1, queue=4)
    with hub.subscribe() as reader:
        for number in range(10):
            hub.publish("x", time=0.0, fields={"n": number})
        dropped, events = await reader.take()
        assert (dropped, [event.fields["n"] for event in events]) == (6, [6, 7, 8, 9])
        hub.publish("x", time=0.0, fields={"n": 10})
        assert (await reader.take())[0] == 0
    assert hub.dropped == 6


async def test_a_reader_has_everything_before_it_is_finished() -> None:
    hub = EventHub(subscribers=2, queue=4)
    with hub.subscribe() as reader:
        hub.publish("last", time=0.0, fields={})
        hub.end()
        assert not reader.finished
        assert [event.name for event in (await reader.take())[1]] == ["last"]
        assert reader.finished
        with hub.subscribe() as late:
            assert late.finished


async def test_readers_are_bounded_and_a_place_is_given_back() -> None:
    hub = EventHub(subscribers=1, queue=4)
    with hub.subscribe(), pytest.raises(BusyError), hub.subscribe():
        pass
    with hub.subscribe():
        pass
    assert hub.refused == 1
