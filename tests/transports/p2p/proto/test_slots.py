"""A few receivers at a time, who holds least first, then the least served, each for one chunk."""

from __future__ import annotations

from collections import deque

import pytest

from transports.p2p.proto.slots import (
    BURST_S,
    ENDING_CHUNKS,
    ENDING_SLOTS,
    FAIR_EVERY,
    TELL_AGAIN_S,
    TELL_STILL_S,
    UploadSlots,
)

CHUNK = 1_000_000


def _sent(slots: UploadSlots, *, lanes: int, seconds: float) -> dict[int, list[float]]:
    """When each of `lanes` that always have a chunk began one, on a link without a limit of its own."""
    began: dict[int, list[float]] = {lane: [] for lane in range(lanes)}
    now = 0.0
    for lane in began:
        slots.join(lane)
    asking = deque(began)
    while now < seconds:
        for _ in range(len(asking)):
            lane = asking.popleft()
            if slots.ask(lane, now):
                slots.spend(lane, CHUNK, now)
                began[lane].append(now)
                asking.append(lane)
        while (granted := slots.poll_granted()) is not None:
            slots.spend(granted, CHUNK, now)
            began[granted].append(now)
            asking.append(granted)
        if not asking:
            opens = slots.opens_at
            assert opens is not None
            assert opens > now
            now = opens
            slots.handle_timer(now)
    return began


def test_slots_are_lent_for_one_chunk_to_the_least_served() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 100, 0.0)
    assert not slots.ask(2, 0.0)
    assert not slots.ask(1, 0.1)
    assert slots.poll_granted() == 2
    slots.spend(2, 300, 0.2)
    slots.leave(2, 0.2)
    assert slots.poll_granted() == 1
    slots.forget(1, 0.2)
    assert slots.active == slots.waiting == 0


def test_a_crowd_is_more_than_can_be_sent_to_at_a_time() -> None:
    slots = UploadSlots(1)
    slots.join(1)
    assert not slots.is_crowd
    slots.join(2)
    assert slots.is_crowd
    slots.forget(1, 0.0)
    assert not slots.is_crowd


def test_a_small_room_is_sent_to_at_once_until_nobody_lacks_more_than_a_few() -> None:
    total = 100
    held = dict.fromkeys(range(8), total - ENDING_CHUNKS - 1)
    slots = UploadSlots(rank=held.__getitem__, chunks=total)
    for lane in held:
        slots.join(lane)
    assert all(slots.ask(lane, 0.0) for lane in held)
    held.update(dict.fromkeys(held, total - ENDING_CHUNKS))
    for lane in held:
        slots.spend(lane, CHUNK, 0.0)
        slots.leave(lane, 0.1)
    assert sum(slots.ask(lane, 0.2) for lane in held) == ENDING_SLOTS
    assert slots.waiting == len(held) - ENDING_SLOTS
    held[7] = 0  # a newcomer: it is not the end any more
    slots.handle_timer(0.3)
    assert slots.waiting == 0
    assert slots.opens_at is None


def test_it_does_not_end_while_of_somebody_nothing_is_known() -> None:
    total = 100
    slots = UploadSlots(rank=lambda lane: total + 1 if lane == 3 else total - 1, chunks=total)
    for lane in range(8):
        slots.join(lane)
    assert all(slots.ask(lane, 0.0) for lane in range(8))


def test_who_holds_least_is_first_however_much_it_was_given() -> None:
    slots = UploadSlots(1, rank={1: 9, 2: 5, 3: 0}.__getitem__)
    for lane in (1, 2, 3):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 100, 0.0)
    assert not slots.ask(2, 0.1)
    assert not slots.ask(3, 0.2)
    slots.leave(1, 0.3)
    assert slots.poll_granted() == 3
    slots.spend(3, 1000, 0.3)
    assert slots.ask(3, 0.4)


def test_who_holds_much_waits_but_does_not_starve() -> None:
    slots = UploadSlots(1, rank=lambda lane: 9 if lane == 0 else 0)
    for lane in range(3):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 100, 0.0)
    assert not slots.ask(0, 0.0)
    assert not slots.ask(2, 0.1)
    order: list[int] = []
    lane = 1
    while len(order) < 3 * FAIR_EVERY:
        granted = lane if slots.ask(lane, len(order) + 1.0) else slots.poll_granted()
        assert granted is not None
        order.append(lane := granted)
        slots.spend(lane, 100, len(order) + 0.5)
    assert {1, 2} < set(order)
    assert 1 <= order.count(0) <= 3


def test_who_waits_long_is_told_and_told_again() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 1, 0.0)
    assert not slots.ask(2, 0.0)
    assert slots.poll_notices(0.01) == []
    assert slots.poll_notices(0.1) == [(2, 1)]
    assert slots.poll_notices(TELL_STILL_S) == []
    assert slots.poll_notices(0.1 + TELL_STILL_S) == [(2, 1)]
    assert slots.poll_notices(0.1 + TELL_STILL_S) == []


def test_a_place_that_changes_is_not_told_with_every_chunk() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2, 3):
        slots.join(lane)
        slots.ask(lane, 0.0)
    assert slots.poll_notices(0.1) == [(2, 1), (3, 2)]
    slots.leave(1, 0.1)
    slots.spend(2, 1, 0.1)
    assert slots.poll_notices(0.2) == []
    assert slots.poll_notices(0.1 + TELL_AGAIN_S) == [(3, 1)]


@pytest.mark.parametrize("lanes", [1, 3, 12])
@pytest.mark.parametrize("chunks_per_s", [0.5, 8])
def test_a_cap_holds_on_average_and_is_shared_by_all(lanes: int, chunks_per_s: float) -> None:
    seconds = 60.0
    slots = UploadSlots(bytes_per_s=int(CHUNK * chunks_per_s))
    began = _sent(slots, lanes=lanes, seconds=seconds)
    total = sum(len(times) for times in began.values())
    allowed = chunks_per_s * seconds
    assert allowed <= total <= allowed + chunks_per_s * BURST_S + 1
    assert max(map(len, began.values())) - min(map(len, began.values())) <= 1
    assert slots.held_back > 0
    for since in range(0, 50, 5):  # no burst within either
        within = sum(since < time <= since + 5 for times in began.values() for time in times)
        assert within <= chunks_per_s * 5 + chunks_per_s * BURST_S + 1


def test_without_a_cap_nobody_waits_for_time() -> None:
    slots = UploadSlots(1)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 1 << 30, 0.0)
    assert not slots.ask(2, 0.0)
    assert slots.opens_at is None
    assert slots.held_back == 0


def test_who_waits_for_a_slot_does_not_wait_for_the_cap() -> None:
    slots = UploadSlots(1, bytes_per_s=100)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    slots.spend(1, 1000, 0.0)
    assert not slots.ask(2, 0.0)
    assert slots.opens_at is None  # 1 still sends
    slots.leave(1, 3.0)
    assert slots.opens_at == pytest.approx(10 - BURST_S)


def test_a_capped_lane_that_has_nothing_to_send_does_not_keep_the_others_waiting() -> None:
    slots = UploadSlots(bytes_per_s=100)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0)
    assert not slots.ask(2, 0.0)  # what 1 will send is not known yet
    slots.leave(1, 0.0)
    assert slots.poll_granted() == 2


def test_a_cap_on_other_subnets_holds_them_back_and_nobody_else() -> None:
    slots = UploadSlots(far_bytes_per_s=CHUNK)
    for lane in (1, 2, 3):
        slots.join(lane)
    assert slots.ask(1, 0.0, far=True)
    assert not slots.ask(2, 0.0, far=True)  # what 1 will send is not known yet
    assert slots.ask(3, 0.0)
    slots.spend(1, CHUNK, 0.0)
    slots.spend(3, 9 * CHUNK, 0.0)
    assert slots.poll_granted() is None
    assert slots.ask(3, 0.1)
    assert slots.opens_at == pytest.approx(1 - BURST_S)
    slots.handle_timer(1.0)
    assert slots.poll_granted() == 2
    assert slots.held_back == 1
    slots.spend(2, CHUNK, 1.0)
    slots.forget(2, 1.0)
    assert not slots.ask(1, 1.0, far=True)
    slots.handle_timer(2.1)
    assert slots.poll_granted() == 1


def test_what_goes_to_other_subnets_counts_for_all() -> None:
    slots = UploadSlots(bytes_per_s=2 * CHUNK, far_bytes_per_s=CHUNK)
    for lane in (1, 2):
        slots.join(lane)
    assert slots.ask(1, 0.0, far=True)
    slots.spend(1, 4 * CHUNK, 0.0)
    assert not slots.ask(2, 0.0)
    assert slots.opens_at == pytest.approx(2 - BURST_S)


def test_who_holds_its_turns_and_passes_them_leaves_the_slot_to_others() -> None:
    """A member that is first by rank, and holds each turn as long as it may, or asks for the next with the PASS."""
    slots = UploadSlots(1, rank=lambda lane: 0 if lane == 1 else 9)
    slots.join(1)
    slots.join(2)
    now, idle_s = 0.0, 0.0
    while now < 60.0:
        if slots.ask(1, now, turn=True):
            now, idle_s = now + 0.99, idle_s + 0.99
            if idle_s % 2 < 1:  # now and then without asking for the next
                slots.leave(1, now)
        if slots.ask(2, now):
            slots.spend(2, CHUNK, now)
            now += 0.1
            slots.leave(2, now)
        while slots.poll_granted() is not None:
            pass
    assert idle_s < 15.0
    assert slots.rests.rests > 3


def test_who_rests_is_lent_its_turn_when_that_is_over() -> None:
    slots = UploadSlots(1)
    slots.join(1)
    assert slots.ask(1, 0.0, turn=True)
    slots.leave(1, 1.0)
    assert not slots.ask(1, 1.0, turn=True)
    assert slots.waiting == 0, "it does not keep a peer that wants to leave"
    opens_at = slots.opens_at
    assert opens_at == slots.rests.until(1)
    slots.handle_timer(opens_at - 0.01)
    assert slots.poll_granted() is None
    slots.handle_timer(opens_at)
    assert slots.poll_granted() == 1


def test_who_says_what_it_takes_is_sent_it_at_once_rest_or_not() -> None:
    slots = UploadSlots(1)
    slots.join(1)
    assert slots.ask(1, 0.0, turn=True)
    slots.leave(1, 1.0)
    assert not slots.ask(1, 1.0, turn=True)
    assert slots.ask(1, 1.1)
    slots.spend(1, CHUNK, 1.1)
    assert slots.opens_at is None


def test_who_connects_again_goes_on_resting() -> None:
    slots = UploadSlots(1, member=lambda lane: 77)
    slots.join(1)
    assert slots.ask(1, 0.0, turn=True)
    slots.forget(1, 1.0)
    slots.join(2)
    assert not slots.ask(2, 1.1, turn=True)
