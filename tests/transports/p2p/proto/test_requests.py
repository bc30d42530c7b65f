"""Who is waited for, for how long, and who is not."""

from __future__ import annotations

from transports.p2p.proto.requests import (
    FIRST_EXPECTED_S,
    ORIGIN,
    PATIENCE,
    QUEUED_S,
    QUIET_S,
    WAITING_S,
    Request,
    Requests,
)


def test_a_source_that_sends_nothing_is_overdue_and_to_blame() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    assert requests.overdue(3.9) == []
    ((request, guilty),) = requests.overdue(4.1)
    assert (request.chunk, guilty) == (5, True)


def _quiet(requests: Requests, *, begin: float, seconds: float) -> list[tuple[Request, bool]]:
    """What is overdue at the end of a time in which nothing came, looked at ten times a second."""
    found: list[tuple[Request, bool]] = []
    for tick in range(round(10 * seconds) + 1):
        found = requests.overdue(begin + tick / 10)
    return found


def test_while_nothing_comes_from_anybody_who_has_given_nothing_yet_is_not_waited_for_long() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    request = requests.add(1, 5, 0.0)
    assert _quiet(requests, begin=0.0, seconds=QUIET_S - 0.1) == []
    assert _quiet(requests, begin=QUIET_S, seconds=0.1) == [(request, True)]
    request.cancelled = True
    requests.handle_bytes(1, 24)  # it answers that, if nothing else
    assert requests.stuck(1.0) == []
    assert requests.stuck(1.0 + QUIET_S) == [1]
    requests.handle_waiting(1, True)
    requests.handle_waiting(1, False)
    assert requests.stuck(1.0 + 2 * QUIET_S) == []


def test_who_lives_or_gave_something_before_is_waited_for_as_always_and_so_is_everybody_after_a_pause() -> None:
    requests = Requests()
    for source in (ORIGIN, 1):
        requests.join(source, 0.0)
    requests.add(1, 5, 0.0)
    for tick in range(20):
        requests.handle_bytes(ORIGIN, 1500)
        assert requests.overdue(tick / 10) == []
    assert requests.overdue(1.9 + QUIET_S) == []  # one look, however long after the last: who knows what came meanwhile
    assert 0.0 < requests.quiet_s < QUIET_S
    requests.arrived(1, 5, 3.0)
    requests.add(1, 6, 3.0)
    assert _quiet(requests, begin=3.0, seconds=QUIET_S + 0.5) == []


def test_what_has_begun_to_come_is_waited_for_though_its_source_was_mute() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    request = requests.add(1, 5, 0.0)
    assert _quiet(requests, begin=0.0, seconds=1.0)
    request.begun = True
    assert requests.overdue(1.1) == []


def test_a_source_that_trickles_is_waited_for_and_not_for_ever() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    for second in range(1, 34):
        requests.handle_bytes(1, 200_000)
        assert requests.overdue(float(second)) == []
    assert requests.overdue(35.0)


def test_a_source_that_says_wait_is_not_to_blame() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.handle_waiting(1, True)
    for second in range(34):
        requests.handle_bytes(1, 32)  # it says so again
        assert requests.overdue(float(second)) == []
    requests.handle_bytes(1, 32)
    assert [guilty for _, guilty in requests.overdue(40.0)] == [False]


def test_a_source_that_said_wait_and_then_nothing_any_more_is_believed_for_a_moment() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.handle_waiting(1, True)
    assert requests.overdue(1.0) == []
    assert requests.overdue(1.0 + WAITING_S - 0.1) == []
    assert [guilty for _, guilty in requests.overdue(1.0 + WAITING_S)] == [True]


def test_what_was_taken_back_from_who_is_silent_is_not_waited_for() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.join(2, 0.0)
    request = requests.add(1, 5, 0.0)
    requests.add(2, 6, 0.0)
    limit = 4 * FIRST_EXPECTED_S
    assert requests.overdue(0.0) == []
    assert requests.unanswered(limit) == []  # it may still come
    request.cancelled = True
    assert requests.unanswered(limit - 0.1) == []
    assert requests.unanswered(limit) == [5]
    requests.handle_bytes(1, 1000)
    assert requests.unanswered(limit) == []  # what comes may be that
    assert requests.unanswered(2 * limit) == [5]
    requests.add(2, 5, limit, spare=True)
    assert requests.unanswered(2 * limit) == []


def test_what_was_asked_of_the_origin_is_told_apart_until_it_is_taken_back() -> None:
    requests = Requests()
    assert requests.of_origin() == []
    for source in (1, ORIGIN):
        requests.join(source, 0.0)
    theirs, asked = requests.add(1, 5, 0.0), requests.add(ORIGIN, 6, 0.0)
    assert (requests.of_neighbours(), requests.of_origin()) == ([theirs], [asked])
    asked.cancelled = True
    assert requests.of_origin() == []


def test_the_origin_is_never_overdue() -> None:
    requests = Requests()
    requests.join(ORIGIN, 0.0)
    requests.add(ORIGIN, 5, 0.0)
    assert requests.overdue(1e6) == []


def test_a_source_that_leaves_gives_back_what_it_owed() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.add(1, 6, 0.0)
    assert requests.arrived(1, 5, 1.0) is not None
    assert [request.chunk for request in requests.leave(1)] == [6]
    assert requests.count == 0
    assert requests.chunks() == []


def test_who_neither_sends_nor_drops_what_was_taken_back_is_named_again_and_again() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    request = requests.add(1, 5, 0.0)
    assert requests.stuck(100.0) == []  # it may still come
    request.cancelled = True
    assert requests.stuck(100.0) == []
    limit = 4 * FIRST_EXPECTED_S
    assert requests.stuck(100.0 + limit / 2) == []
    assert requests.stuck(100.0 + limit) == [1]
    assert requests.stuck(100.0 + limit) == []
    requests.handle_waiting(1, True)
    assert requests.stuck(100.0 + 2 * limit) == []
    requests.handle_waiting(1, False)
    assert requests.stuck(100.0 + 2 * limit) == [1]
    requests.arrived(1, 5, 200.0)
    assert requests.stuck(300.0) == []


def test_what_a_chunk_takes_is_learnt_from_when_the_one_before_it_came() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    assert requests.chunk_s(1) == FIRST_EXPECTED_S
    requests.add(1, 5, 0.0)
    requests.add(1, 6, 0.0)
    requests.arrived(1, 5, 4.0)
    assert requests.chunk_s(1) == 4.0
    requests.arrived(1, 6, 6.0)  # 2 s after the one before, half of which counts
    assert requests.chunk_s(1) == 3.0
    requests.add(1, 7, 10.0)
    assert requests.overdue(10.0 + PATIENCE * 3.0 - 0.1) == []
    assert requests.overdue(10.0 + PATIENCE * 3.0)


def test_who_is_fast_has_two_seconds_as_well() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.arrived(1, 5, 0.1)
    requests.add(1, 6, 1.0)
    assert requests.overdue(2.9) == []
    assert requests.overdue(3.0)


def test_a_chunk_is_late_after_three_times_what_it_and_those_before_it_take() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 4, 0.0)
    requests.arrived(1, 4, 0.5)
    first, second = requests.add(1, 5, 1.0), requests.add(1, 6, 1.0)
    assert not requests.is_late(first, 1.0 + 1.5)
    assert requests.is_late(first, 1.0 + 1.6)
    assert not requests.is_late(second, 1.0 + 3.0)
    assert requests.is_late(second, 1.0 + 3.1)


def test_nothing_is_late_within_a_quarter_of_a_second() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 4, 0.0)
    requests.arrived(1, 4, 0.01)
    request = requests.add(1, 5, 1.0)
    assert not requests.is_late(request, 1.25)
    assert requests.is_late(request, 1.26)


def test_a_source_has_yet_to_answer_for_what_was_taken_back() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0).cancelled = True
    assert [requests.is_asked(1, 5), requests.is_asked(1, 6), requests.is_asked(2, 5)] == [True, False, False]
    requests.pop(1, 5)
    assert not requests.is_asked(1, 5)


def test_what_was_not_asked_for_teaches_nothing() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    assert requests.arrived(1, 5, 3.0) is None
    assert requests.arrived(2, 5, 3.0) is None
    assert requests.chunk_s(1) == FIRST_EXPECTED_S


def test_what_trickled_counts_from_the_last_chunk_on() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.handle_bytes(1, 64 * 1024 * 100)
    requests.arrived(1, 5, 1.0)
    requests.add(1, 6, 1.0)
    requests.add(1, 7, 1.0)
    assert [request.chunk for request, _ in requests.overdue(5.0)] == [6, 7]


def test_a_request_is_the_only_one_unless_it_is_said_to_be_spare() -> None:
    requests = Requests()
    for source in (1, 2):
        requests.join(source, 0.0)
    assert not requests.add(1, 5, 0.0).spare
    assert requests.add(2, 5, 0.0, spare=True).spare
    assert requests.count == 2
    assert [request.source for request in requests.of(5)] == [1, 2]
    requests.pop(1, 5)
    assert (requests.count, requests.under_way(1), requests.under_way(2)) == (1, 0, 1)
    assert requests.chunks() == [5]


def test_a_chunk_that_comes_as_slowly_as_all_others_is_waited_for() -> None:
    """Ten sources share a link of 10 Mbit/s that others use, too: 4 MiB take 140 s of each."""
    requests = Requests()
    for source in range(1, 11):
        requests.join(source, 0.0)
        requests.add(source, source, 0.0).begun = True
    requests.pace.handle_chunk(140.0)
    for tick in range(1, 1400):
        if tick % 10 == 0:
            for source in range(1, 11):
                requests.handle_bytes(source, 30_000)
        assert requests.overdue(tick / 10) == []


def test_who_sends_much_less_than_all_others_is_overdue() -> None:
    requests = Requests()
    for source in range(1, 4):
        requests.join(source, 0.0)
        requests.add(source, source, 0.0).begun = True
    found: set[int] = set()
    for second in range(1, 10):
        for source, count in ((1, 50_000), (2, 50_000), (3, 8_000)):
            requests.handle_bytes(source, count)
        found.update(request.source for request, _ in requests.overdue(float(second)))
    assert found == {3}


def test_a_lump_now_and_then_is_a_chunk_on_its_way_where_chunks_take_long() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.pace.handle_chunk(20.0)
    request = requests.add(1, 5, 0.0)
    for tick in range(1, 200):
        if tick % 30 == 0:
            requests.handle_bytes(1, 256 * 1024)
            request.begun = True
        assert requests.overdue(tick / 10) == []
    assert [each.chunk for each, _ in _quiet(requests, begin=20.0, seconds=10.0)] == [5]


def test_who_sends_what_was_taken_back_is_not_blamed_for_it() -> None:
    """What has begun is not broken off: at 10 Mbit/s it may take half a minute."""
    requests = Requests()
    requests.join(1, 0.0)
    request = requests.add(1, 5, 0.0)
    request.begun = request.cancelled = True
    for second in range(1, 30):
        requests.handle_bytes(1, 150_000)
        assert requests.overdue(float(second)) == []
        assert requests.stuck(float(second)) == []
    found = []
    for second in range(30, 60):
        requests.overdue(float(second))
        found += requests.stuck(float(second))
    assert set(found) == {1}


def test_who_sends_what_was_taken_back_however_slowly_is_not_blamed_again() -> None:
    """A new connection gets next to nothing at first of a link that others have filled."""
    requests = Requests()
    for source in (1, 2):
        requests.join(source, 0.0)
    requests.add(1, 5, 0.0).begun = True
    requests.add(2, 6, 0.0).begun = True
    guilty = []
    for second in range(1, 60):
        requests.handle_bytes(1, 3000)
        requests.handle_bytes(2, 600_000)
        for request, _ in requests.overdue(float(second)):
            request.cancelled = True
            guilty.append(request.source)
        assert 1 not in requests.stuck(float(second))
    assert 1 in guilty


def test_who_was_waited_for_has_a_moment_to_begin_when_its_turn_has_come() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.add(1, 5, 0.0)
    requests.handle_waiting(1, True)
    for second in range(1, 20):
        requests.handle_bytes(1, 32)
        assert requests.overdue(float(second)) == []
    requests.handle_waiting(1, False)
    assert requests.overdue(19.1) == []
    assert requests.overdue(19.1 + QUIET_S - 0.1) == []
    assert requests.overdue(19.1 + QUIET_S)


def test_where_chunks_take_long_who_keeps_silent_is_waited_for_in_proportion() -> None:
    for took_s, patience_s in ((1.0, QUIET_S), (8.0, 2.0), (100.0, 5.0)):
        requests = Requests()
        requests.join(1, 0.0)
        requests.pace.handle_chunk(took_s)
        requests.add(1, 5, 0.0)
        assert _quiet(requests, begin=0.0, seconds=min(patience_s, 3.9) - 0.1) == []
        assert _quiet(requests, begin=min(patience_s, 4.0), seconds=0.1)


def test_what_was_asked_for_at_its_turn_may_take_a_moment_to_begin_where_chunks_take_long() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    requests.pace.handle_chunk(16.0)
    requests.arrived(1, requests.add(1, 4, 0.0).chunk, 16.0)
    requests.add(1, 5, 20.0, at_once=True)
    assert requests.overdue(23.9) == []
    assert requests.overdue(24.1)


def test_what_nobody_knows_yet_of_a_source_is_expected_of_it_where_others_take_long() -> None:
    requests = Requests()
    requests.join(1, 0.0)
    request = requests.add(1, 5, 0.0)
    assert requests.is_late(request, 3.1)
    requests.pace.handle_chunk(25.0)
    assert not requests.is_late(request, 70.0)
    assert requests.is_late(request, 75.1)


def test_what_the_origin_is_to_send_is_not_waited_for_where_nothing_comes_of_it() -> None:
    requests = Requests()
    for source in (1, 2, ORIGIN):
        requests.join(source, 0.0)
    requests.add(1, 7, 0.0)
    requests.add(2, 8, 0.0)
    requests.add(ORIGIN, 9, 0.0)
    assert requests.unanswered(0.0, {7, 8, 9}) == []
    requests.handle_bytes(2, 1000)
    assert requests.unanswered(0.1, {7, 8, 9}) == []
    assert requests.unanswered(QUEUED_S, {7, 8, 9}) == [7]
    assert requests.unanswered(QUEUED_S) == []
    assert requests.unanswered(QUEUED_S + 0.1, {7, 8, 9}) == [7, 8]
