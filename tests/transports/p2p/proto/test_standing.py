"""Late answers cost a rest, a wrong chunk everything."""

from __future__ import annotations

from transports.p2p.proto.standing import DEMERITS_MAX, REFUSALS_MAX, REST_S, Standing


def test_three_late_answers_are_a_rest() -> None:
    standing = Standing()
    assert [standing.blame(1, 0.0) for _ in range(DEMERITS_MAX)] == [False, False, True]
    assert not standing.may_ask(1, REST_S - 1)
    assert standing.may_ask(1, REST_S)


def test_a_good_chunk_makes_late_ones_forgotten() -> None:
    standing = Standing()
    standing.blame(1, 0.0)
    standing.blame(1, 0.0)
    standing.praise(1)
    assert not standing.blame(1, 0.0)


def test_who_has_nothing_of_what_it_promised_is_given_a_rest() -> None:
    standing = Standing()
    assert [standing.refuse(1, 0.0) for _ in range(REFUSALS_MAX)] == [False] * (REFUSALS_MAX - 1) + [True]
    assert not standing.may_ask(1, REST_S - 1)
    assert standing.may_ask(1, REST_S)
    assert not standing.refuse(1, REST_S)  # counted anew


def test_a_good_chunk_or_a_goodbye_makes_refusals_forgotten() -> None:
    standing = Standing()
    for forget in (standing.praise, standing.forget):
        for _ in range(REFUSALS_MAX - 1):
            assert not standing.refuse(1, 0.0)
        forget(1)
    assert not standing.refuse(1, 0.0)


def test_who_did_not_answer_is_blamed_until_a_good_chunk_comes() -> None:
    standing = Standing()
    assert not standing.is_blamed(1)
    standing.blame(1, 0.0)
    assert standing.is_blamed(1)
    standing.praise(1)
    assert not standing.is_blamed(1)


def test_what_only_one_holds_who_kept_this_peer_waiting_is_not_counted_on_until_a_good_chunk_comes() -> None:
    standing = Standing()
    for forget in (standing.praise, standing.forget):
        standing.doubt(1)
        assert standing.is_blamed(1)
        assert standing.may_ask(1, 0.0)
        forget(1)
        assert not standing.is_blamed(1)


def test_a_ban_outlives_a_goodbye() -> None:
    standing = Standing()
    assert standing.ban(1)
    assert not standing.ban(1)
    standing.forget(1)
    assert not standing.may_ask(1, 1e9)
