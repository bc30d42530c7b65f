"""How long a pause says nothing."""

from __future__ import annotations

from transports.p2p.proto.pace import PAUSE_MOST_S, Pace


def test_where_chunks_are_fast_no_pause_is_without_a_reason() -> None:
    pace = Pace()
    assert pace.pause_s == 0.0
    pace.handle_chunk(0.04)
    assert pace.pause_s == 0.01


def test_a_pause_may_take_a_quarter_of_a_chunk_and_five_seconds_at_most() -> None:
    pace = Pace()
    pace.handle_chunk(8.0)
    assert pace.pause_s == 2.0
    pace.handle_chunk(100.0)
    assert pace.pause_s == PAUSE_MOST_S


def test_half_of_what_the_last_chunk_took_counts() -> None:
    pace = Pace()
    pace.handle_chunk(4.0)
    pace.handle_chunk(6.0)
    assert pace.chunk_s == 5.0


def test_before_the_first_chunk_came_what_is_coming_tells_how_slow_the_link_is() -> None:
    pace = Pace()
    assert pace.expected_s == 0.0
    pace.handle_coming([4.0, 12.0])
    assert (pace.expected_s, pace.pause_s) == (12.0, 3.0)
    pace.handle_coming([])
    assert pace.pause_s == 0.0
    pace.handle_chunk(1.0)
    pace.handle_coming([16.0])
    assert (pace.expected_s, pace.pause_s) == (1.0, 0.25)
