"""Only a fault is told as one."""

from __future__ import annotations

import asyncio

import pytest

from transports.p2p.faults import fault_of

pytestmark = pytest.mark.asyncio


async def _do(error: BaseException | None) -> None:
    if error is not None:
        raise error


async def _ended(error: BaseException | None) -> asyncio.Task[None]:
    task = asyncio.create_task(_do(error))
    await asyncio.wait([task])
    return task


async def test_a_fault_is_told_with_what_it_was() -> None:
    assert "KeyError('source')" in str(fault_of(await _ended(KeyError("source"))))


@pytest.mark.parametrize("error", [None, asyncio.CancelledError()])
async def test_an_end_is_no_fault(error: BaseException | None) -> None:
    assert fault_of(await _ended(error)) is None
