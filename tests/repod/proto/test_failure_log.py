"""Refused logins: counted always, logged at a bounded rate."""

from __future__ import annotations

from repod.proto.failure_log import FailureLog


def test_a_flood_is_counted_and_a_few_are_logged() -> None:
    failures = FailureLog(limit=3)
    assert [failures.handle_failure(now=0.1 * number) for number in range(5)] == [0, 0, 0, None, None]
    assert failures.total == 5


def test_the_next_minute_says_how_many_went_by_in_silence() -> None:
    failures = FailureLog(limit=1)
    for now in (0.0, 1.0, 2.0):
        failures.handle_failure(now=now)
    assert failures.handle_failure(now=60.0) == 2
    assert failures.handle_failure(now=120.0) == 0
