"""A few receivers at a time, the least served first, each for one chunk."""

from __future__ import annotations

from transports.p2p.proto.slots import UploadSlots


def test_slots_are_lent_for_one_chunk_to_the_least_served() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 100)
    assert not slots.ask(2, 0.0)
    assert not slots.ask(1, 0.1)
    assert slots.poll_granted() == 2
    slots.spend(2, 300)
    slots.leave(2)
    assert slots.poll_granted() == 1
    slots.forget(1)
    assert slots.active == slots.waiting == 0


def test_who_waits_long_is_told_once() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 1)
    assert not slots.ask(2, 0.0)
    assert slots.poll_notices(0.1) == []
    assert slots.poll_notices(1.0) == [(2, 1)]
    assert slots.poll_notices(1.1) == []
