"""Turns: so many at once, first come first served, nobody starves."""

from __future__ import annotations

from transports.unicast.proto.turns import NOTICE_EVERY_S, QUANTUM_BYTES, QUANTUM_S, Turns


def test_so_many_lanes_send_at_once_and_the_others_wait_in_order() -> None:
    turns = Turns(2)
    assert [turns.ask(lane, 0.0) for lane in (1, 2, 3, 4)] == [True, True, False, False]
    assert (turns.waiting, turns.waited) == (2, 2)
    turns.leave(1, 0.0)
    assert turns.poll_granted() == 3
    assert turns.poll_granted() is None
    assert not turns.ask(4, 0.0)


def test_a_turn_ends_by_bytes_only_while_others_wait() -> None:
    turns = Turns(1)
    assert turns.ask(1, 0.0)
    assert turns.spend(1, QUANTUM_BYTES, 0.0)
    assert not turns.ask(2, 0.0)
    assert not turns.spend(1, QUANTUM_BYTES, 0.0)
    assert turns.poll_granted() == 2
    assert not turns.ask(1, 0.0)
    assert turns.rotations == 1


def test_a_stuck_lane_loses_its_turn_by_time() -> None:
    turns = Turns(1)
    turns.ask(1, 0.0)
    turns.ask(2, 0.0)
    turns.handle_timer(QUANTUM_S / 2)
    assert turns.poll_granted() is None
    turns.handle_timer(QUANTUM_S)
    assert turns.poll_granted() == 2
    assert not turns.has_turn(1)


def test_a_lane_that_left_the_queue_is_not_granted() -> None:
    turns = Turns(1)
    for lane in (1, 2, 3):
        turns.ask(lane, 0.0)
    turns.leave(2, 0.0)
    turns.leave(1, 0.0)
    turns.leave(3, 0.0)
    assert turns.poll_granted() is None
    turns.leave(99, 0.0)


def test_positions_are_told_when_they_change_and_not_too_often() -> None:
    turns = Turns(1)
    for lane in (1, 2, 3):
        turns.ask(lane, 0.0)
    assert turns.poll_notices(0.0) == [(2, 1), (3, 2)]
    turns.leave(1, 0.1)
    assert turns.poll_notices(0.2) == []
    assert turns.poll_notices(NOTICE_EVERY_S) == [(3, 1)]
    assert turns.poll_notices(NOTICE_EVERY_S * 2) == []


def test_no_limit_means_no_waiting() -> None:
    turns = Turns(0)
    assert all(turns.ask(lane, 0.0) for lane in range(100))


def test_everybody_gets_a_turn_in_the_end() -> None:
    turns = Turns(2)
    sent = dict.fromkeys(range(7), 0)
    running = [lane for lane in sent if turns.ask(lane, 0.0)]
    for step in range(70):
        lane = running.pop(0)
        sent[lane] += 1
        if turns.spend(lane, QUANTUM_BYTES, step) or turns.ask(lane, step):
            running.append(lane)
        while (granted := turns.poll_granted()) is not None:
            running.append(granted)
    assert min(sent.values()) >= 8
