"""What is held against a session outlives its member, and not the session."""

from __future__ import annotations

from tests.transports.p2p.proto.test_scatter import _member
from transports.p2p.proto.reputation import DOUBT_S, Reputation


def test_complaints_wait_for_who_comes_again_as_far_as_those_who_made_them_are_there() -> None:
    reputation, member = Reputation(), _member(1)
    assert reputation.take_complaints("s1", None, {2, 3}) == set()
    member.lost_by = {2, 3}
    assert reputation.take_complaints("s1", member, {2, 3}) == {2, 3}
    reputation.handle_left(member)
    assert reputation.take_complaints("s1", None, {3, 4}) == {3}
    assert reputation.take_complaints("s1", None, {3, 4}) == set()  # its member has them now


def test_doubt_lasts_a_minute_or_until_the_session_is_over() -> None:
    reputation, member = Reputation(), _member(1)
    member.lost_by = {2}
    reputation.discredit("s1", 5.0)
    reputation.handle_left(member)
    assert reputation.is_doubted("s1", 5.0 + DOUBT_S - 0.1)
    assert not reputation.is_doubted("s1", 5.0 + DOUBT_S)
    assert not reputation.is_doubted("s2", 5.0)
    reputation.handle_closed("s1")
    assert not reputation.is_doubted("s1", 5.0)
    assert reputation.take_complaints("s1", None, {2}) == set()
