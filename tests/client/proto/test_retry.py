from __future__ import annotations

import random

from client.proto.retry import RetryPolicy


def _policy() -> RetryPolicy:
    return RetryPolicy(now=0, limit_s=10, first_s=1, longest_s=4, rng=random.Random(1))


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


def test_without_progress_for_the_limit_it_gives_up() -> None:
    policy = _policy()
    delay = policy.poll_delay(9.9)
    assert delay is not None
    assert delay <= 0.1 + 1e-9
    assert policy.poll_delay(10) is None
