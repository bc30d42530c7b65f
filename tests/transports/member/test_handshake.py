"""Bounds of the handshake; tests/transports/member/test_lane.py runs both sides over a connection."""

from __future__ import annotations

from transports.member.handshake import HANDSHAKE_S
from transports.unicast.settings import UnicastSettings


def test_it_is_as_patient_as_that_of_a_unicast_lane() -> None:
    assert UnicastSettings().handshake_timeout_s == HANDSHAKE_S
