"""A turn is asked for, given, and answered in time, or it goes to others."""

from __future__ import annotations

import pytest

from core.errors import ProtocolError
from transports.unicast.proto.turn_taking import TURN_S, UNANSWERED_MAX, TurnTaking


def test_a_turn_is_given_to_the_message_that_asked() -> None:
    turn = TurnTaking()
    assert not turn.asked
    turn.handle_asked(9)
    assert turn.asked
    assert not turn.held
    assert turn.give(1.0) == 9
    assert turn.held
    assert not turn.asked
    assert turn.deadline == 1.0 + TURN_S
    turn.handle_answered()
    assert not turn.held
    assert turn.deadline == float("inf")


def test_a_second_one_before_an_answer_is_a_violation() -> None:
    turn = TurnTaking()
    turn.handle_asked(1)
    with pytest.raises(ProtocolError):
        turn.handle_asked(2)
    turn.give(0.0)
    with pytest.raises(ProtocolError):
        turn.handle_asked(3)
    turn.handle_answered()
    turn.handle_asked(4)
    assert turn.give(0.0) == 4


def test_turns_that_go_by_in_a_row_end_the_lane_and_one_answer_begins_anew() -> None:
    turn = TurnTaking()

    def let_go_by() -> bool:
        turn.handle_asked(1)
        turn.give(0.0)
        assert not turn.handle_timer(TURN_S / 2)
        assert turn.held
        ends = turn.handle_timer(TURN_S)
        assert not turn.held
        return ends

    assert not any(let_go_by() for _ in range(UNANSWERED_MAX - 1))
    turn.handle_answered()
    assert not any(let_go_by() for _ in range(UNANSWERED_MAX - 1))
    assert let_go_by()


def test_no_more_turns_are_passed_than_were_given_be_it_after_a_read_that_crossed_the_turn() -> None:
    turn = TurnTaking()
    with pytest.raises(ProtocolError):
        turn.handle_passed()
    turn.handle_asked(1)
    turn.give(0.0)
    turn.handle_timer(TURN_S)
    turn.handle_answered()
    turn.handle_passed()
    assert not turn.held
    with pytest.raises(ProtocolError):
        turn.handle_passed()


def test_a_lane_that_ends_waits_for_nothing() -> None:
    turn = TurnTaking()
    turn.handle_asked(1)
    turn.clear()
    assert not turn.asked
    turn.handle_asked(2)
    turn.give(0.0)
    turn.clear()
    assert not turn.held
