"""An alarm rings once for any number of moments it was asked for, and never after the earliest of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from core.alarm import Alarm

PAST, LATER = 0.0, 3600.0
"""Seconds from now: the first rings in the loop's next turn, the second not while a test runs."""


def rings(set_up: Callable[[Alarm, float], None], loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """How often it rang within a few turns of the loop after `set_up(alarm, now)`."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        count = 0

        def ring() -> None:
            nonlocal count
            count += 1

        alarm = Alarm(loop, ring)
        set_up(alarm, loop.time())
        turned = asyncio.Event()
        loop.call_at(loop.time() + 0.01, turned.set)  # rings after all that was due before it
        await turned.wait()
        alarm.cancel()
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
    def ask(alarm: Alarm, now: float) -> None:
        for moment in moments:
            alarm.ring_by(now + moment)

    assert rings(ask, loop_factory) == expected


def test_a_cancelled_one_does_not_ring_and_can_be_set_again(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    def cancel(alarm: Alarm, now: float) -> None:
        alarm.ring_by(now)
        assert alarm.is_set
        alarm.cancel()
        alarm.cancel()
        assert not alarm.is_set

    def cancel_and_set(alarm: Alarm, now: float) -> None:
        cancel(alarm, now)
        alarm.ring_by(now)

    assert rings(cancel, loop_factory) == 0
    assert rings(cancel_and_set, loop_factory) == 1


def test_who_rings_asks_again(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    rung = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        third = asyncio.Event()

        def ring() -> None:
            rung.append(alarm.is_set)
            if len(rung) == 3:
                third.set()
            else:
                alarm.ring_by(loop.time())

        alarm = Alarm(loop, ring)
        alarm.ring_by(loop.time())
        await third.wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert rung == [False, False, False]
