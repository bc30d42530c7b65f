from __future__ import annotations

from typing import Any

from transports.multicast.proto.membership import SILENT_S, TAIL_S, UNHEARD_S, Membership, Step
from transports.multicast.proto.received import Figures

FEED: dict[str, Any] = {"packets": 100, "span": 100, "lacking": 50, "sender_idle": False}


def _joined(now: float = 0.0, *, alone: bool = False, **settings: float | None) -> Membership:
    membership = Membership(now=now, probe_wait_s=1.5, alone=alone, **settings)
    membership.handle_joined(now, probes=16)
    return membership


def _poll(
    membership: Membership, now: float, *, probes: int = 16, asked: int = 0, stored: int = 0, **changes: object
) -> Step | None:
    figures = Figures(probes=probes, asked=asked, stored=stored)
    return membership.poll(now, figures=figures, **{**FEED, **changes})


def test_nothing_is_judged_before_the_sender_answers() -> None:
    membership = Membership(now=0, probe_wait_s=1.5)
    assert _poll(membership, 100, packets=0, span=0, probes=0) is None


def test_enough_probes_are_a_good_verdict_at_once() -> None:
    step = _poll(_joined(), 0.4)
    assert step is not None
    assert step.verdict == "good"
    assert not step.fatal


def test_no_packet_at_all_ends_the_path_when_the_wait_is_over() -> None:
    membership = _joined()
    nothing: dict[str, Any] = {"packets": 0, "span": 0, "probes": 0}
    assert _poll(membership, 1.4, **nothing) is None
    step = _poll(membership, 1.5, **nothing)
    assert step is not None
    assert (step.verdict, step.fatal) == ("nothing", True)


def test_a_lossy_path_is_told_and_kept() -> None:
    step = _poll(_joined(), 1.5, packets=80, span=100, probes=10)
    assert step is not None
    assert step.verdict == "partial"
    assert not step.fatal
    assert "20.0%" in step.reason


def test_silence_while_something_is_lacking_ends_the_path() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    assert _poll(membership, 0.5 + SILENT_S - 0.01) is None
    step = _poll(membership, 0.5 + SILENT_S)
    assert step is not None
    assert step.fatal
    assert step.again_after_s


def test_the_option_string_says_how_long_silence_is_borne() -> None:
    membership = _joined(silence_s=60.0)
    _poll(membership, 0.5)
    assert _poll(membership, 60.0) is None
    assert _poll(membership, 60.6) is not None


def test_silence_means_nothing_before_the_start_or_when_nothing_is_lacking() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    membership.handle_waiting(0.6)
    assert _poll(membership, 100) is None
    membership.handle_joined(100, probes=0)
    assert _poll(membership, 100 + SILENT_S - 0.1) is None
    assert _poll(membership, 200, lacking=0) is None


def test_a_cast_that_does_not_begin_in_time_is_left() -> None:
    membership = _joined(start_timeout_s=5.0)
    membership.handle_waiting(0)
    _poll(membership, 0.5)
    assert _poll(membership, 4.9) is None
    step = _poll(membership, 5.0)
    assert step is not None
    assert "did not begin" in step.reason


def test_a_short_tail_is_left_only_while_the_sender_is_busy_with_others() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    membership.handle_chunk(1.0)
    assert _poll(membership, 1.0 + TAIL_S, packets=200, lacking=2, sender_idle=True) is None
    assert _poll(membership, 1.1 + TAIL_S, packets=300, lacking=50) is None
    step = _poll(membership, 1.2 + TAIL_S, packets=400, lacking=2)
    assert step is not None
    assert "last 2 chunks" in step.reason


def test_a_short_tail_is_waited_for_where_there_is_no_other_way() -> None:
    membership = _joined(alone=True)
    _poll(membership, 0.5)
    membership.handle_chunk(1.0)
    for second in range(2, 60):
        assert _poll(membership, float(second), packets=100 * second, lacking=2) is None


def test_who_asks_and_asks_and_gets_nothing_of_it_goes_on_by_other_means() -> None:
    """A firewall that drops reports: the sender, who heard of nothing, says for ever that it is idle."""
    membership = _joined()
    _poll(membership, 0.5)
    for tenth in range(6, 10):
        assert _poll(membership, tenth / 10, packets=100 + tenth, stored=90, sender_idle=True) is None
    times = [0.9 + 0.1 * n for n in range(1, int(UNHEARD_S * 10))]
    for count, now in enumerate(times, 1):
        assert _poll(membership, now, packets=200 + count, stored=90, asked=count, sender_idle=True) is None
    step = _poll(membership, 0.95 + UNHEARD_S, packets=500, stored=90, asked=40, sender_idle=True)
    assert step is not None
    assert step.fatal
    assert step.again_after_s
    assert "reports" in step.reason


def test_what_was_asked_while_the_cable_was_out_says_nothing_of_the_reports() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    for count in range(1, 29):
        assert _poll(membership, 0.5 + count / 10, stored=90, asked=count) is None
    for count in range(29, 58):
        assert _poll(membership, 0.5 + count / 10, packets=100 + count, stored=90, asked=count) is None
    step = _poll(membership, 6.5, packets=201, stored=90, asked=60)
    assert step is not None
    assert "asked 31 times" in step.reason


def test_who_has_nothing_to_ask_with_or_is_answered_stays() -> None:
    """A disk that stands still leaves no memory to ask for anything; a long repair brings symbols, if no chunk."""
    membership = _joined()
    _poll(membership, 0.5)
    for second in range(1, 60):
        assert _poll(membership, second, packets=100 + second, stored=90, asked=7, sender_idle=True) is None
    for second in range(60, 90):
        assert _poll(membership, second, packets=100 + second, stored=second, asked=second * 5) is None


def test_who_is_served_last_may_ask_in_vain_for_long() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    membership.handle_lane(late=True)
    for second in range(1, 30):
        assert _poll(membership, second, packets=100 + second, stored=90, asked=second * 10) is None
    membership.handle_lane(late=False)
    for tenth in range(300, 310):
        assert _poll(membership, tenth / 10, packets=tenth, stored=90, asked=301) is None
    for tenth in range(310, 332):
        assert _poll(membership, tenth / 10, packets=tenth, stored=90, asked=tenth) is None
    step = _poll(membership, 31 + UNHEARD_S, packets=400, stored=90, asked=350)
    assert step is not None
    assert "reports" in step.reason


def test_fewer_probes_than_usual_are_enough_if_no_more_were_announced() -> None:
    membership = Membership(now=0.0, probe_wait_s=1.5)
    membership.handle_joined(0.0, probes=5)
    assert _poll(membership, 0.2, probes=4, packets=4, span=4) is None
    step = _poll(membership, 0.2, probes=5, packets=5, span=5)
    assert step is not None
    assert step.verdict == "good"


def test_silence_before_the_start_does_not_count_after_it() -> None:
    membership = _joined()
    _poll(membership, 0.5)
    membership.handle_waiting(1.0)
    membership.handle_joined(100.0, probes=0)
    assert _poll(membership, 100.1) is None
    assert _poll(membership, 100.0 + SILENT_S) is not None


def test_the_time_of_the_probe_does_not_count_for_the_tail() -> None:
    membership = _joined()
    verdict = _poll(membership, 1.5, probes=3, lacking=2)
    assert verdict is not None
    assert not verdict.fatal
    assert _poll(membership, TAIL_S + 0.5, lacking=2, packets=200) is None
    step = _poll(membership, 1.5 + TAIL_S, lacking=2, packets=300)
    assert step is not None
    assert step.fatal
