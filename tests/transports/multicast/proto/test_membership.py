from __future__ import annotations

from typing import Any

from transports.multicast.proto.membership import SILENT_S, TAIL_S, Membership, Step

FEED: dict[str, Any] = {"packets": 100, "span": 100, "probes": 16, "lacking": 50, "sender_idle": False}


def _joined(now: float = 0.0, **settings: float | None) -> Membership:
    membership = Membership(now=now, probe_wait_s=1.5, **settings)
    membership.handle_joined(now, probes=16)
    return membership


def _poll(membership: Membership, now: float, **changes: object) -> Step | None:
    return membership.poll(now, **{**FEED, **changes})


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
    nothing = {"packets": 0, "span": 0, "probes": 0}
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
