from __future__ import annotations

import random

from client.proto.retry import FAILURES_LEAST, RetryPolicy


def _policy(least: int = 1) -> RetryPolicy:
    return RetryPolicy(now=0, limit_s=10, first_s=1, longest_s=4, rng=random.Random(1), least=least)


def test_waits_double_up_to_the_longest() -> None:
    policy = _policy()
    delays = [policy.poll_delay(0) or 0 for _ in range(5)]
    for delay, most in zip(delays, [1, 2, 4, 4, 4], strict=True):
        assert most / 2 <= delay <= most
    assert policy.total == 5


def test_progress_starts_counting_anew() -> None:
    policy = _policy()
    policy.poll_delay(9)
    policy.handle_progress(9)
    delay = policy.poll_delay(18)
    assert delay is not None
    assert delay <= 1


def test_an_answer_makes_the_next_wait_short_and_is_no_progress() -> None:
    policy = _policy()
    for _ in range(4):
        policy.poll_delay(0)
    policy.handle_answer()
    delay = policy.poll_delay(1)
    assert delay is not None
    assert delay <= 1
    assert policy.poll_delay(10) is None


def test_without_progress_for_the_limit_it_gives_up() -> None:
    policy = _policy()
    delay = policy.poll_delay(9.9)
    assert delay is not None
    assert delay <= 0.1 + 1e-9
    assert policy.poll_delay(10) is None


def test_who_stood_still_beyond_the_limit_tries_again_before_it_gives_up() -> None:
    policy = _policy(FAILURES_LEAST)
    delays = [policy.poll_delay(1000) for _ in range(FAILURES_LEAST)]
    assert all(delay is not None and 0.5 <= delay <= 4 for delay in delays[:-1])
    assert delays[-1] is None
    policy.handle_progress(1001)
    assert policy.poll_delay(1002) is not None
