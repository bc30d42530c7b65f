"""One run of a command: settings, reporter, event loop, signals, and the last event whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from client.config import ClientSettings, load_settings
from client.events import JsonReporter, PlainReporter, Reporter, error_fields
from core.errors import OgcastError
from core.service import loop_factory

__all__ = ["Options", "Run", "execute", "in_thread"]

T = TypeVar("T")
SAME_S = 0.3
"""A signal that comes again so soon is the same one: who stops a group of processes often tells each of them, too."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options before the command."""

    config: Path | None = None
    repo: str | None = None
    interface: str | None = None
    json: bool = False


class Run(msgspec.Struct, kw_only=True):
    """What a command works with."""

    settings: ClientSettings
    reporter: Reporter
    options: Options = msgspec.field(default_factory=Options)
    began: float = msgspec.field(default_factory=time.monotonic)
    """`time.monotonic` of the start."""
    resume_hint: str | None = None
    """What to say when the operator interrupts."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Tell an event."""
        self.reporter.event(name, fields)

    def stage(self, stage: str, message: str) -> None:
        """Tell that a stage begins."""
        self.event("stage", {"stage": stage, "message": message, "seconds": round(self.seconds, 3)})

    def notice(self, message: str) -> None:
        """Tell something the operator should know."""
        self.event("notice", {"message": message})

    def warning(self, message: str) -> None:
        """Tell something the operator should act on."""
        self.event("warning", {"message": message})

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began


def execute(options: Options, main: Callable[[Run], Coroutine[Any, Any, Mapping[str, Any]]]) -> None:
    """Run `main` and tell `done` with what it returns, or `error`.

    SIGINT and SIGTERM cancel `main`; once it has stopped safely, SystemExit 130 or 143 follows. OgcastError goes on
    to the caller, who prints it and sets the exit code.
    """
    reporter: Reporter = JsonReporter() if options.json else PlainReporter()
    caught: list[int] = []
    run: Run | None = None
    try:
        settings = load_settings(options.config, repo=options.repo, interface=options.interface)
        if not options.json and sys.stderr.isatty():
            reporter = _bar()
        run = Run(settings=settings, reporter=reporter, options=options)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            done = runner.run(_guarded(main(run), caught))
        reporter.event("done", done)
    except OgcastError as error:
        reporter.event("error", error_fields(error))
        raise
    except asyncio.CancelledError:
        code = 128 + caught[0] if caught else 1
        message = (run.resume_hint if run is not None else None) or "interrupted; nothing was written"
        reporter.event("interrupted", {"message": message})
        reporter.event("error", {"code": code, "error": "Interrupted", "message": message, "hint": None})
        raise SystemExit(code) from None
    except Exception as error:
        fields = {"code": OgcastError.exit_code, "error": type(error).__name__, "message": str(error), "hint": None}
        reporter.event("error", fields)
        raise
    finally:
        reporter.close()


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run blocking `work(cancelled)` in a thread. When we are cancelled, tell it and wait until it has let go."""
    cancelled = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, cancelled))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: the cancellation is what counts
        raise


async def _guarded(work: Coroutine[Any, Any, T], caught: list[int]) -> T:
    """Await `work`, cancelling it at the first SIGINT or SIGTERM; a second one ends the process at once, unless it is
    the same one again (SAME_S)."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    since = 0.0

    def stop(number: int) -> None:
        nonlocal since
        if caught:
            if loop.time() >= since + SAME_S:
                os._exit(128 + number)
            return
        since = loop.time()
        caught.append(number)
        task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop, number)
    try:
        return await work
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)


def _bar() -> Reporter:
    from client.bar import BarReporter  # rich is needed on a terminal only

    return BarReporter()
