from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.wantmap import WantMap
from transports.multicast.lacking import REJECTIONS_MAX, REJECTIONS_OF_CHUNK_MAX, Lacking

CHUNKS = st.integers(0, 5)


def _lacking(count: int = 6) -> tuple[Lacking, WantMap]:
    want = WantMap(count)
    return Lacking(want), want


def test_a_chunk_is_handed_over_once_and_gone_when_it_was_good() -> None:
    lacking, want = _lacking()
    assert lacking.hand_over(2)
    assert not lacking.hand_over(2)
    want.discard(2)
    assert lacking.follow() == ([], [])  # it is being judged
    assert lacking.accept(2)
    assert len(lacking) == 5
    assert not lacking.hand_over(2)


def test_what_others_brought_leaves_and_what_is_left_to_this_path_comes() -> None:
    lacking, want = _lacking()
    want.discard_all([0, 1])
    assert lacking.follow() == ([0, 1], [])
    assert not lacking.hand_over(1)
    want.add(1)
    assert lacking.follow() == ([], [1])
    assert lacking.hand_over(1)
    assert lacking.follow() == ([], [])


def test_what_was_accepted_here_does_not_come_back_while_the_session_is_slow_to_say_so() -> None:
    lacking, _ = _lacking()
    lacking.hand_over(0)
    lacking.accept(0)
    assert lacking.follow() == ([], [])


def test_what_others_brought_while_it_was_judged_leaves_when_it_was_wrong() -> None:
    lacking, want = _lacking()
    lacking.hand_over(0)
    want.discard(0)
    assert lacking.follow() == ([], [])
    lacking.reject(0)
    assert lacking.follow() == ([0], [])
    assert lacking.follow() == ([], [])


def test_chunks_that_came_on_trust_are_no_reason_to_leave_unless_one_comes_wrong_again() -> None:
    lacking, _ = _lacking(2 * REJECTIONS_MAX)
    for chunk in range(2 * REJECTIONS_MAX - 1):
        assert lacking.hand_over(chunk, proven=False)
        assert not lacking.reject(chunk)
    assert lacking.hand_over(0)
    assert lacking.reject(0)


def test_what_is_proven_counts_though_it_came_on_trust_before() -> None:
    lacking, _ = _lacking(2 * REJECTIONS_MAX)
    for chunk in range(REJECTIONS_MAX):
        assert lacking.hand_over(chunk, proven=False)
        lacking.accept(chunk)
    last = [lacking.hand_over(REJECTIONS_MAX + n) and lacking.reject(REJECTIONS_MAX + n) for n in range(REJECTIONS_MAX)]
    assert last == [False] * (REJECTIONS_MAX - 1) + [True]


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "hand", "accept", "reject", "lose", "follow"]), CHUNKS)))
def test_what_lacks_is_what_is_wanted_and_not_dealt_with(steps: list[tuple[str, int]]) -> None:
    lacking, want = _lacking()
    lost, good = set[int](), set[int]()
    for what, chunk in steps:
        match what:
            case "add":
                want.add(chunk)
            case "discard":
                want.discard(chunk)
            case "hand":
                lacking.hand_over(chunk)
            case "accept" if chunk in lacking.open:
                lacking.accept(chunk)
                good.add(chunk)
            case "reject" if chunk in lacking.open:
                lacking.reject(chunk)
            case "lose" if lacking.lose(chunk, "unreadable"):
                lost.add(chunk)
            case _:
                lacking.follow()
    before = {chunk for chunk in range(6) if chunk in lacking}
    gone, new = lacking.follow()
    here = {chunk for chunk in range(6) if chunk in lacking}
    assert here == (before - set(gone)) | set(new)
    for chunk in set(range(6)) - lacking.open:
        if chunk in want:
            assert (chunk in here) == (chunk in before or chunk not in lost | good)
        else:
            assert chunk not in here


def test_a_chunk_that_comes_wrong_too_often_is_reason_to_leave() -> None:
    lacking, _ = _lacking()
    for number in range(REJECTIONS_OF_CHUNK_MAX):
        assert lacking.hand_over(3)
        assert lacking.reject(3) == (number + 1 == REJECTIONS_OF_CHUNK_MAX)
        assert 3 in lacking


def test_so_are_many_chunks_that_come_wrong_once() -> None:
    lacking, _ = _lacking()
    for chunk in range(REJECTIONS_MAX):
        assert lacking.hand_over(chunk)
        assert lacking.reject(chunk) == (chunk + 1 == REJECTIONS_MAX)


def test_what_the_repository_cannot_read_is_lost_here() -> None:
    lacking, want = _lacking()
    assert lacking.lose(3, "unreadable")
    assert lacking.lost == {3: "unreadable"}
    assert lacking.follow() == ([], [])
    want.discard(3)
    assert lacking.lost == {}


def test_it_is_settled_when_nothing_is_to_come_and_nothing_waits_for_a_judgement() -> None:
    lacking, want = _lacking(2)
    assert lacking.lose(0, "unreadable")
    assert not lacking.lose(0, "unreadable")
    lacking.hand_over(1)
    lacking.flags[1] = False
    assert not lacking.settled
    lacking.accept(1)
    assert lacking.settled
    assert 0 in want
