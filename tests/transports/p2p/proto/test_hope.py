"""A member waits for what still moves, and not for ever: neither without repod, nor for a swarm that gives nothing."""

from __future__ import annotations

from typing import Any

import pytest

from transports.p2p.proto.hope import GIVE_UP_S, IDLE_S, ORIGIN_S, REFUSED_S, Hope, Outcome

NOTHING: dict[str, Any] = {
    "given": 0,
    "quiet_since": 0.0,
    "under_way": False,
    "in_hand": False,
    "has_origin": True,
    "peers": True,
    "refused": False,
}
A_LITTLE_S = 0.01


def _looked(hope: Hope, now: float, **signs: Any) -> Outcome:
    return hope.look(now, **{**NOTHING, **signs})


def _made(**options: Any) -> Hope:
    return Hope(**{"stands_by": False, "now": 0.0, **options})


def _gone(since: float) -> Hope:
    hope = _made()
    hope.handle_repod(False, since)
    return hope


def test_while_repod_is_there_it_is_not_waited_for() -> None:
    hope = _gone(1.0)
    hope.handle_repod(True, 2.0)
    assert _looked(hope, 2.0 + GIVE_UP_S, peers=False, quiet_since=0.0) is Outcome.WAIT


def test_as_long_as_something_moves_a_member_stays() -> None:
    assert _looked(_gone(10.0), 10.0 + GIVE_UP_S - A_LITTLE_S) is Outcome.WAIT
    for moves in ({"quiet_since": 95.0}, {"given": 1}, {"under_way": True}):
        hope = _gone(10.0)
        assert _looked(hope, 95.0, **moves) is Outcome.WAIT
        after = {**moves, "under_way": False}
        assert _looked(hope, 95.0 + GIVE_UP_S - A_LITTLE_S, **after) is Outcome.WAIT
        assert _looked(hope, 95.0 + GIVE_UP_S, **after) is Outcome.ALONE


def test_saying_again_that_repod_is_gone_begins_nothing_anew() -> None:
    hope = _gone(10.0)
    hope.handle_repod(False, 19.0)
    assert _looked(hope, 10.0 + GIVE_UP_S) is Outcome.ALONE


@pytest.mark.parametrize("signs", [{"peers": False}, {"refused": True}], ids=["alone", "not known any more"])
def test_who_has_nobody_to_wait_for_asks_for_another_session_soon(signs: dict[str, bool]) -> None:
    assert _looked(_gone(10.0), 10.0 + REFUSED_S - A_LITTLE_S, **signs) is Outcome.WAIT
    assert _looked(_gone(10.0), 10.0 + REFUSED_S, **signs) is Outcome.ALONE
    assert _looked(_gone(10.0), 20.0, quiet_since=20.0, **signs) is Outcome.WAIT


@pytest.mark.parametrize(
    "moves", [{"under_way": True}, {"has_origin": True}, {"quiet_since": 50.0}], ids=["asked", "origin", "came"]
)
def test_without_the_origin_and_without_anything_else_another_path_is_taken(moves: dict[str, Any]) -> None:
    hope = _made()
    nothing = {"has_origin": False, "in_hand": True}
    assert _looked(hope, ORIGIN_S - A_LITTLE_S, **nothing) is Outcome.WAIT
    assert _looked(hope, 50.0, **{**nothing, **moves}) is Outcome.WAIT
    if "quiet_since" in moves:
        nothing |= moves
    assert _looked(hope, 50.0 + ORIGIN_S - A_LITTLE_S, **nothing) is Outcome.WAIT
    assert _looked(hope, 50.0 + ORIGIN_S, **nothing) is Outcome.CUT_OFF


@pytest.mark.parametrize(
    "moves", [{"under_way": True}, {"in_hand": True}, {"quiet_since": 50.0}], ids=["asked", "in hand", "came"]
)
def test_where_nothing_is_asked_of_anybody_another_path_is_taken(moves: dict[str, Any]) -> None:
    hope = _made()
    assert _looked(hope, IDLE_S - A_LITTLE_S) is Outcome.WAIT
    assert _looked(hope, 50.0, **moves) is Outcome.WAIT
    signs = moves if "quiet_since" in moves else {}
    assert _looked(hope, 50.0 + IDLE_S - A_LITTLE_S, **signs) is Outcome.WAIT
    assert _looked(hope, 50.0 + IDLE_S, **signs) is Outcome.IDLE


def test_who_only_stands_by_is_neither_idle_nor_cut_off() -> None:
    hope = _made(stands_by=True)
    assert _looked(hope, 1e6, has_origin=False) is Outcome.WAIT
    hope.handle_repod(False, 1e6)
    assert _looked(hope, 1e6 + GIVE_UP_S, has_origin=False) is Outcome.ALONE


def test_without_repod_its_origin_is_not_missed() -> None:
    hope = _gone(0.0)
    assert _looked(hope, 1e6, has_origin=False, given=1) is Outcome.WAIT
    assert _looked(hope, 1e6 + ORIGIN_S, has_origin=False, given=1) is Outcome.WAIT
