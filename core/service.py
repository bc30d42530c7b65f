"""Running a daemon: event loop, signals, readiness, supervision.

The first SIGTERM or SIGINT sets `stop` and lets the service end by itself; a second one cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from core.memory import give_large_blocks_back

__all__ = ["loop_factory", "notify", "run_service", "supervised"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it loads, the loop of asyncio otherwise."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run_service(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` to its end on a fresh loop; it returns soon after `stop` is set.

    Errors come out as themselves: a group of one is unwrapped. KeyboardInterrupt is raised only when the service
    had to be cancelled.
    """
    give_large_blocks_back()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            runner.run(_with_signals(main))
        except BaseExceptionGroup as group:
            raise _only(group) from group


async def _with_signals(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stop = asyncio.Event()
    insisted = False

    def on_signal() -> None:
        nonlocal insisted
        if stop.is_set() and task is not None:
            insisted = True
            task.cancel()
        stop.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await main(stop)
    except asyncio.CancelledError:
        if insisted:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def supervised(stop: asyncio.Event, *jobs: Awaitable[None]) -> None:
    """Run `jobs` until `stop` is set, then cancel them. One that fails ends all, and its error is raised."""

    async def run(job: Awaitable[None]) -> None:
        await job

    async def watch(tasks: list[asyncio.Task[None]]) -> None:
        await stop.wait()
        for task in tasks:
            task.cancel()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job)) for job in jobs]
        group.create_task(watch(tasks))


def notify(state: str) -> bool:
    """Tell systemd (Type=notify) something such as READY=1; False if nobody listens.

    The protocol is one datagram to the Unix socket named by NOTIFY_SOCKET; `@` starts an abstract name.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        return True
    return False


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a group of one, however deep; the group itself otherwise."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
