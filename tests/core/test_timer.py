"""A timer rings once for any number of moments it was asked for, and never after the earliest of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from core.timer import Timer

PAST, LATER = 0.0, 3600.0
"""Seconds from now: the first rings in the loop's next turn, the second not while a test runs."""


def rings(set_up: Callable[[Timer, float], None], loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """How often it rang within a few turns of the loop after `set_up(timer, now)`."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        count = 0

        def ring() -> None:
            nonlocal count
            count += 1

        timer = Timer(loop, ring)
        set_up(timer, loop.time())
        turned = asyncio.Event()
        loop.call_at(loop.time() + 0.01, turned.set)  # rings after all that was due before it
        await turned.wait()
        timer.cancel()
        return count

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    factory: Callable[[], asyncio.AbstractEventLoop] = request.param
    return factory


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([PAST], 1),
        ([PAST, PAST], 1),
        ([PAST, LATER], 1),
        ([LATER, PAST], 1),
        ([LATER], 0),
        ([float("inf")], 0),
        ([], 0),
    ],
)
def test_it_rings_by_the_earliest_moment(
    moments: list[float], expected: int, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    def ask(timer: Timer, now: float) -> None:
        for moment in moments:
            timer.ring_by(now + moment)

    assert rings(ask, loop_factory) == expected


def test_a_cancelled_one_does_not_ring_and_can_be_set_again(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    def cancel(timer: Timer, now: float) -> None:
        timer.ring_by(now)
        assert timer.is_set
        timer.cancel()
        timer.cancel()
        assert not timer.is_set

    def cancel_and_set(timer: Timer, now: float) -> None:
        cancel(timer, now)
        timer.ring_by(now)

    assert rings(cancel, loop_factory) == 0
    assert rings(cancel_and_set, loop_factory) == 1


def test_who_rings_asks_again(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    rung = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        third = asyncio.Event()

        def ring() -> None:
            rung.append(timer.is_set)
            if len(rung) == 3:
                third.set()
            else:
                timer.ring_by(loop.time())

        timer = Timer(loop, ring)
        timer.ring_by(loop.time())
        await third.wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert rung == [False, False, False]
