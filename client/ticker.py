"""The ticker of a transfer: progress events for people and programs, reports for the repository, the last one too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from client.figures import Figures
from client.proto.brake import BrakeMeter
from client.proto.estimate import Estimate
from client.run import Run
from client.sources.remote import RemoteSource
from transports.control import SessionReport

__all__ = ["PROGRESS_EVERY_S", "Ticker"]

PROGRESS_EVERY_S = 0.5


class Ticker:
    """One transfer's: `ending` is around all of it, `running` around the part in which chunks move."""

    def __init__(
        self, run: Run, figures: Figures, *, total_bytes: int, chunks: int, remote: RemoteSource | None
    ) -> None:
        self._run = run
        self._figures = figures
        self._total = total_bytes
        self._chunks = chunks
        self._remote = remote
        self._brake: BrakeMeter | None = None
        self._last_brake = ""
        self._estimate = Estimate(now=time.monotonic(), total=total_bytes, done=figures.raw_bytes_before)
        self.state = "transferring"

    @contextlib.asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Whatever ends the block, the repository hears it as the last report, which ends the session there."""
        last = None
        try:
            yield
            last = self.report("done")
        except BaseException as error:
            interrupted = isinstance(error, asyncio.CancelledError)
            last = self.report("failed", "interrupted" if interrupted else str(error) or type(error).__name__)
            raise
        finally:
            if self._remote is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await self._remote.close(last)

    @contextlib.asynccontextmanager
    async def running(self, brake: BrakeMeter) -> AsyncIterator[None]:
        """Show the limit this meter finds, and a rate that counts nothing of before, while the block runs."""
        self._watch(brake)
        ticking = asyncio.ensure_future(self.run())
        try:
            yield
        finally:
            ticking.cancel()
            # gather: a cancellation of ours that comes while we wait is not taken for that of the task
            (ended,) = await asyncio.gather(ticking, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended

    def expect(self, total_bytes: int) -> None:
        """So much is to be transferred, now that it is known."""
        self._total = self._estimate.total = total_bytes

    def _watch(self, brake: BrakeMeter) -> None:
        self._brake = brake
        done = self._figures.raw_bytes_before + self._figures.raw_bytes
        self._estimate = Estimate(now=time.monotonic(), total=self._total, done=done)

    def progress(self) -> None:
        """One progress event of the transfer."""
        now = time.monotonic()
        done = self._figures.raw_bytes_before + self._figures.raw_bytes
        self._estimate.handle_done(now, done)
        if self._brake is not None:
            self._last_brake = self._brake.poll_brake(now).value
        left = self._estimate.left_s(now)
        self._emit(self.state, done, self._total, self._estimate.rate_bytes_per_s(now), left, self._last_brake)

    async def run(self) -> None:
        """Tell until cancelled."""
        due, told = time.monotonic(), ""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            self.progress()
            # Others of the room go by what this client takes its chunks from: they hear of a change at once.
            if self._remote is not None and (time.monotonic() >= due or self._remote.path != told):
                told = self._remote.path
                due = time.monotonic() + await self._remote.report(self.report(self.state))

    def report(self, state: str, message: str = "") -> SessionReport:
        """Where this client stands, for the repository."""
        figures = self._figures
        return SessionReport(
            state=state,
            have=figures.chunks_done,
            bytes_received=figures.bytes_received,
            bytes_written=figures.bytes_written,
            rate=self._estimate.rate_bytes_per_s(time.monotonic()),
            brake=self._last_brake,
            seconds=self._run.seconds,
            bad_chunks=figures.bad_chunks,
            transport=self._remote.path if self._remote is not None else "",
            message=message[:1024],
            picked=self._remote.picked[:256] if self._remote is not None else "",
        )

    def counter(self, state: str, total_bytes: int) -> Callable[[int], None]:
        """A function that another thread calls with bytes finished in `state`; at most PROGRESS_EVERY_S apart count."""
        loop = asyncio.get_running_loop()
        estimate = Estimate(now=time.monotonic(), total=total_bytes)
        due = 0.0

        def count(done_bytes: int) -> None:
            nonlocal due
            now = time.monotonic()
            if now >= due or done_bytes >= total_bytes:
                due = now + PROGRESS_EVERY_S
                estimate.handle_done(now, done_bytes)
                rate, left = estimate.rate_bytes_per_s(now), estimate.left_s(now)
                loop.call_soon_threadsafe(self._emit, state, done_bytes, total_bytes, rate, left, "disk")

        return count

    def _emit(self, state: str, done: int, total: int, rate: float, left: float | None, brake: str) -> None:
        self._run.event(
            "progress",
            {
                "state": state,
                "done_bytes": done,
                "total_bytes": total,
                "rate_bytes_per_s": round(rate),
                "left_s": round(left, 1) if left is not None else None,
                "brake": brake,
                "chunks_done": self._figures.chunks_done,
                "chunks": self._chunks,
                "bytes_received": self._figures.bytes_received,
                "transport": self._remote.path if self._remote is not None else "",
                "seconds": round(self._run.seconds, 3),
            },
        )
