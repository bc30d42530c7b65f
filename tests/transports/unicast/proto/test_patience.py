"""Patience: strangers, silence, and peers that do not read."""

from __future__ import annotations

from transports.unicast.proto.patience import LaneTimes, Patience

TIMES = LaneTimes(handshake_s=10, idle_s=60, write_s=30)


def test_a_stranger_gains_no_time_by_trickling() -> None:
    patience = Patience(TIMES, 0.0)
    patience.handle_heard(9.0)
    assert patience.deadline == 10
    assert "session" in patience.complaint


def test_a_proven_peer_is_waited_for_from_its_last_byte() -> None:
    patience = Patience(TIMES, 0.0)
    patience.proven = True
    patience.handle_heard(100.0)
    assert patience.deadline == 160
    assert "silent" in patience.complaint


def test_a_peer_that_takes_nothing_is_dropped() -> None:
    patience = Patience(TIMES, 0.0)
    patience.proven = True
    patience.handle_blocked(50.0)
    patience.handle_blocked(60.0)
    patience.handle_heard(70.0)
    assert patience.deadline == patience.write_expired_at == 80
    patience.handle_progress(75.0)
    assert patience.deadline == 135
    assert "took nothing" in patience.write_complaint


def test_an_ending_lane_waits_only_for_its_last_frame_to_be_taken() -> None:
    patience = Patience(TIMES, 0.0)
    patience.ending = True
    assert patience.deadline == float("inf")
    patience.handle_blocked(1.0)
    assert patience.deadline == 31
