"""Capture: make an image of a source on this machine and upload what the repository lacks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast

from client.control import ControlClient
from client.run import Run, in_thread
from client.uplink import RemoteWriter, Uplink
from core.errors import (
    AuthenticationError,
    CaptureError,
    ConnectionFailedError,
    LockedError,
    NotFoundError,
    OgcastError,
    TransferError,
    UsageError,
)
from core.hostname import host_name
from core.ids import SessionId
from core.units import human_bytes
from images.build_progress import BuildProgress
from images.builder import build_image
from images.importers import ImportOptions, open_source
from transports import registry
from transports.base import CaptureClient, CaptureLane, ClientContext, Offer
from transports.control import CaptureCommitted, CaptureOpened, CaptureRequest

__all__ = ["REREADS_MAX", "Capture"]

REREADS_MAX = 3
"""Times a source is read again because the repository lost what it had taken: one that loses it each time is broken."""
ABANDON_S = 5.0
"""For giving the lock back; without it the lock goes with the capture, when that expires."""


class Capture:
    """One capture of `source` as `name`."""

    def __init__(
        self, run: Run, control: ControlClient, *, source: str, name: str, options: ImportOptions | None = None
    ) -> None:
        self._run = run
        self._control = control
        self._source = source
        self._name = name
        self._options = options
        self._opened: CaptureOpened | None = None
        self._progress: BuildProgress | None = None

    async def perform(self, opened: CaptureOpened) -> dict[str, Any]:
        """Return the fields of `done` once the new version is published. The lock is given back on every failure."""
        self._opened = opened
        try:
            return await self._perform(opened)
        except BaseException:
            with contextlib.suppress(OgcastError, TimeoutError):
                async with asyncio.timeout(ABANDON_S):
                    await self._control.abandon_capture(self._opened.capture)
            raise

    async def _perform(self, opened: CaptureOpened) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._run.resume_hint = (
            "interrupted; the repository shows nothing new. What arrived is kept until gc: "
            "run the same command again to go on from there"
        )
        sent = {"chunks_sent": 0, "bytes_sent": 0, "reconnects": 0}
        passes = 0
        committed: CaptureCommitted | None = None
        while committed is None:
            async with Uplink(self._open_lane, on_event=self._run.event) as uplink:
                writer = RemoteWriter(uplink, loop)
                data = await self._build(writer, opened)
            sent["chunks_sent"] += writer.chunks_sent
            sent["bytes_sent"] += writer.bytes_sent
            sent["reconnects"] += uplink.reconnects
            passes += 1
            committed = await self._commit(data, again=uplink.reconnects > 0 and passes <= REREADS_MAX)
        seconds = self._run.seconds
        progress = self._progress
        read = progress.bytes_done if progress is not None else 0
        info = committed.image
        return {
            "command": "capture",
            "image": f"{info.name}@{info.version}",
            "source": self._source,
            "image_bytes": info.size,
            "data_bytes": info.data_bytes,
            "chunks": info.chunks,
            **sent,
            "bytes_new": committed.bytes_new,
            "seconds": round(seconds, 3),
            "rate_bytes_per_s": round(read / seconds) if seconds > 0 else 0,
            "summary": (
                f"[100] capture {info.name}@{info.version} from {self._source}: "
                f"{human_bytes(sent['bytes_sent'])} sent, {human_bytes(info.data_bytes)} of data; {seconds:.1f} s, "
                f"{human_bytes(read / seconds if seconds else 0)}/s"
            ),
        }

    async def _commit(self, data: bytes, *, again: bool) -> CaptureCommitted | None:
        """Publish; None if the source must be read again because a repository that crashed lost what it had taken.

        What a lane acknowledged is not on the disk yet, so this happens after a broken lane only (`again`).
        """
        self._run.stage("commit", f"publishing {self._name}")
        assert self._opened is not None
        try:
            return await self._control.commit_capture(self._opened.capture, data)
        except (ConnectionFailedError, NotFoundError) as error:
            raise CaptureError(
                f"the repository went away while {self._name} was being published: {error}",
                hint="`repod ls` says whether it took the new version; if not, run the same command again",
            ) from error
        except CaptureError as error:
            if again and _can_be_read_again(self._source):
                self._run.notice(f"{error}: the repository lost them when it went away; reading the source again")
                return None
            raise CaptureError(
                str(error), hint="run the same command again: what has arrived is not sent twice"
            ) from error

    async def _build(self, writer: RemoteWriter, opened: CaptureOpened) -> bytes:
        loop = asyncio.get_running_loop()

        def told(progress: BuildProgress) -> None:
            loop.call_soon_threadsafe(self._tell, progress)

        def work(cancelled: threading.Event) -> bytes:
            with open_source(self._source, options=self._options) as source:
                for notice in source.notices:
                    loop.call_soon_threadsafe(self._run.notice, notice)
                data = build_image(
                    source,
                    writer,
                    name=self._name,
                    chunk_size=opened.chunk_size,
                    level=opened.level,
                    progress=told,
                    cancelled=cancelled.is_set,
                )
            writer.finish()
            return data

        building = asyncio.ensure_future(in_thread(work))
        try:
            return await asyncio.shield(building)
        except asyncio.CancelledError:
            writer.give_up(CaptureError("the capture was interrupted"))
            building.cancel()
            await asyncio.wait([building])
            raise

    async def _open_lane(self, cause: OgcastError | None) -> AbstractAsyncContextManager[CaptureLane]:
        """A lane of the capture. After a broken one the lock is asked for again: the repository may have forgotten us.

        If the name is locked, that may be by ourselves: the break was not noticed there yet, or the first lane never
        came to be. The capture's own key decides: the lane takes the lock over, or is told that the capture is gone.
        """
        if cause is not None:
            try:
                self._opened = await self._control.open_capture(capture_request(self._name))
            except LockedError:
                if isinstance(cause, AuthenticationError | TransferError):
                    raise
        opened = self._opened
        assert opened is not None
        offer = next((offer for offer in opened.offers if self._carries(offer.transport)), None)
        if offer is None:
            raise UsageError("the repository offers no transport that carries captures and that this ogcast knows")
        make: Callable[[ClientContext], Any] = registry.load_client(registry.by_name(offer.transport))
        transport = cast(CaptureClient, make(self._context()))
        lane = transport.upload(
            Offer(transport=offer.transport, parameters=offer.parameters),
            session_id=SessionId(opened.capture),
            key=opened.key,
        )
        return lane

    def _context(self) -> ClientContext:
        settings = self._run.settings
        return ClientContext(
            repository_host=settings.host,
            interface=settings.interface,
            state_dir=settings.state_path,
            on_event=self._run.event,
        )

    @staticmethod
    def _carries(transport: str) -> bool:
        spec = registry.specs().get(transport)
        return spec is not None and spec.capabilities.captures

    def _tell(self, progress: BuildProgress) -> None:
        self._progress = progress
        total = progress.bytes_total
        rate = progress.rate_bytes_per_s
        left = (total - progress.bytes_done) / rate if total is not None and rate > 0 else None
        self._run.event(
            "progress",
            {
                "state": "capturing",
                "done_bytes": progress.bytes_done,
                "total_bytes": total if total is not None else progress.bytes_done,
                "rate_bytes_per_s": round(rate),
                "left_s": round(left, 1) if left is not None else None,
                "brake": "",
                "chunks_done": progress.chunks_new + progress.chunks_known,
                "chunks": 0,
                "bytes_received": 0,
                "seconds": round(self._run.seconds, 3),
            },
        )


def capture_request(name: str) -> CaptureRequest:
    """Ask for the lock on `name`."""
    return CaptureRequest(name=name, host=host_name())


def _can_be_read_again(source: str) -> bool:
    """A file or device, not a pipe."""
    return source != "-" and (Path(source).is_file() or Path(source).is_block_device())
