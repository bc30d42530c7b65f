"""What came into each subnet is shown by image and subnet."""

from __future__ import annotations

import pytest

from tests.support.swarms import announce, running
from tests.support.takers import Taker
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.p2p import server as server_module
from transports.p2p.figures import COUNTERS
from transports.p2p.proto.messages import Welcome

pytestmark = pytest.mark.asyncio


async def test_a_room_that_took_an_image_together_took_about_one_copy() -> None:
    async with running(chunks=60) as room:
        assert room.server.samples() == []
        takers = [Taker(room).start() for _ in range(3)]
        for taker in takers:
            await taker.done()
            await room.happens("lane_closed", session=taker.session, reason="")
        samples = {(sample.name, *sample.labels.values()): sample for sample in room.server.samples()}
        copies = samples["subnet_copies", "sample@1", "127.0.0.0/24"]
        assert 1.0 <= copies.value <= 1.6
        assert not copies.rises
        # What members said when they left is all there: every byte of three copies.
        by_source = {
            source: samples["subnet_bytes", "sample@1", "127.0.0.0/24", source].value
            for source in ("origin", "other", "same")
        }
        assert sum(by_source.values()) == 3 * room.stored_bytes
        assert by_source["other"] == 0
        assert copies.value == by_source["origin"] / room.stored_bytes


async def test_totals_are_there_before_anything_happened() -> None:
    async with running() as room:
        counters = room.server.counters()
        assert {name: counters[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)


async def test_a_scrape_is_bounded_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SAMPLES_MAX", 6)
    async with running() as room:
        guests = [await room.join(announce(40, subnet=f"lab {number}")) for number in range(3)]
        for guest in guests:
            await guest.hear(Welcome)
            guest.say(HEALTH)
            await guest.lane.close()
        for guest in guests:
            await room.happens("lane_closed", session=guest.session, reason="")
        assert len(room.server.samples()) == 6
        assert room.server.counters()["limit_samples"] == 1
