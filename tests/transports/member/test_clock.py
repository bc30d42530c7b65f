"""A clock goes on, whatever its turns do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import BusyError
from transports.member.clock import Clock

pytestmark = pytest.mark.asyncio


async def _turns(number: int, turn: Callable[[int], None]) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Counts after `number` turns, and what was told to the loop."""
    counts: Counter[str] = Counter()
    told: list[dict[str, Any]] = []
    enough, taken = asyncio.Event(), 0
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def take() -> None:
        nonlocal taken
        taken += 1
        if taken == number:
            enough.set()
        if taken <= number:
            turn(taken)

    clock = Clock(take, interval_s=0.0, counts=counts)
    clock.start()
    async with asyncio.timeout(20):
        await enough.wait()
    await clock.stop()
    await clock.stop()
    return counts, told


async def test_trouble_that_passes_is_counted_and_nothing_else() -> None:
    def turn(number: int) -> None:
        raise OSError(24, "too many open files") if number % 2 else BusyError("full")

    counts, told = await _turns(4, turn)
    assert counts["ticks_failed"] == 4
    assert told == []


async def test_a_fault_ends_nothing_and_is_told_once_until_it_is_another() -> None:
    def turn(number: int) -> None:
        raise KeyError("a") if number < 4 else ValueError("b")

    counts, told = await _turns(5, turn)
    assert counts["ticks_failed"] == 5
    assert [repr(context["exception"]) for context in told] == ["KeyError('a')", "ValueError('b')"]


async def test_stopped_in_the_middle_of_a_turn_it_has_no_turn_under_way() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    clock = Clock(turn, interval_s=0.0, counts=Counter())
    clock.start()
    async with asyncio.timeout(20):
        await begun.wait()
        await clock.stop()
    assert ended.is_set()


async def test_a_part_that_fails_keeps_no_other_from_its_turn() -> None:
    counts: Counter[str] = Counter()
    done: list[str] = []
    clock = Clock(asyncio.Event().wait, interval_s=1.0, counts=counts)  # type: ignore[arg-type]
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
    for part in ("one", "two", "three"):
        with clock.guarded():
            if part == "two":
                raise IndexError(part)
            done.append(part)
    assert done == ["one", "three"]
    assert counts["ticks_failed"] == 1
