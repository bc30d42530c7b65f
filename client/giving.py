"""One process that gives one image to others: its sessions, one after the other, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from client.control import ControlClient
from client.proto.retry import FAILURES_LEAST, RetryPolicy
from client.run import Run, in_thread
from client.seeders import SeederNote, claimed, find_seeder, is_outlasted, seeders_folder, stop
from core.errors import (
    BusyError,
    ConnectionFailedError,
    LockedError,
    NotFoundError,
    OgcastError,
    ProtocolError,
    SessionOverError,
    TransferError,
    UsageError,
)
from core.hostname import host_name
from core.ids import SessionId
from core.startup import step_up
from core.units import human_bytes
from images.manifest import Manifest
from images.stores import ChunkReader
from transports import registry
from transports.base import ClientContext, Giving, Offer, Seeding
from transports.control import SessionOpened, SessionReport, SessionRequest

__all__ = ["UNREACHABLE_LIMIT_S", "Seeder", "Wish"]

UNREACHABLE_LIMIT_S = 3600.0
"""How long a seeder waits for a repository that does not answer: longer than a machine is being replaced."""
RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 30.0
LOOK_EVERY_S = 1.0
"""How often it is looked whether there is still something to give."""
TELL_EVERY_S = 30.0
REPORT_LONGEST_S = 5.0
GOOD_BYE_S = 5.0
LEECHER = "leecher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How an image is to be given."""

    mode: str = ""
    """seeder, peer, or empty: as the repository says."""
    seconds: int | None = None
    """How long at most; None: as the repository says, and a seeder without end."""

    @classmethod
    def parse(cls, options: str) -> Wish:
        """Of an option string, OpenGnsys' `mode[:seconds]`. UsageError if it is none."""
        mode, _, seconds = options.strip().partition(":")
        if seconds and not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
            raise UsageError(f"seconds {seconds[:32]!a} of {options[:64]!a}", hint="a number, such as peer:60")
        return cls(mode=mode.lower(), seconds=int(seconds) if seconds else None)

    @property
    def options(self) -> str:
        """The option string that says so."""
        return self.mode if self.seconds is None else f"{self.mode}:{self.seconds}"


@dataclass(slots=True, kw_only=True)
class Seeder:
    """One process that gives one image. `perform` once."""

    run: Run
    manifest: Manifest
    wish: Wish
    chunks: ChunkReader | None
    inherited: bytes = b""
    """What a Seeding handed over."""
    holds: str
    """Where the chunks are, for people."""
    log: str = ""
    """Its log file, if it is in the background: its start had the lowest priority then."""
    over: Callable[[], str | None] = lambda: None
    """Why there is nothing to give any more, if that is so. Blocks on the disk."""
    _began: float = field(default_factory=time.monotonic)
    _given: Counter[str] = field(default_factory=Counter)
    _entered: bool = False
    _clients: dict[str, Seeding] = field(default_factory=dict)
    _told_at: float = 0.0

    async def perform(self) -> Mapping[str, Any]:
        """Give until the repository says stop, the seconds are over, or the chunks are gone. Fields of `done`.

        One process an image: if there is one already, that is no error, and all there is to do, unless that is in the
        background and would end before this one: then this one ends it, and takes its place.
        """
        run, ref = self.run, self.manifest.ref
        folder = seeders_folder(run.settings.state_path)
        note = SeederNote(
            image=str(ref),
            root=self.manifest.root.hex(),
            pid=os.getpid(),
            options=self._options(),
            began=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            holds=self.holds,
            log=self.log,
        )
        before = find_seeder(folder, ref, self.manifest.root)
        if before is not None and is_outlasted(before, self._options(), now=datetime.datetime.now(datetime.UTC)):
            await in_thread(lambda _: stop(folder, before))
        try:
            with claimed(folder, ref, self.manifest.root, note):
                run.resume_hint = "seeding has ended"
                async with ControlClient(run.settings) as control:
                    reason = await self._give(control)
        except LockedError as error:
            return {**self._result("it is given already"), "already": True, "summary": str(error)}
        return self._result(reason)

    async def _give(self, control: ControlClient) -> str:
        """One session after the other."""
        retry = RetryPolicy(
            now=time.monotonic(),
            limit_s=UNREACHABLE_LIMIT_S,
            first_s=RETRY_FIRST_S,
            longest_s=RETRY_LONGEST_S,
            rng=random.Random(),
            least=FAILURES_LEAST,
        )
        while True:
            try:
                return await self._session(control, retry)
            except (ConnectionFailedError, BusyError) as error:
                if not self._entered:
                    raise
                delay = retry.poll_delay(time.monotonic())
                if delay is None:
                    return f"the repository did not answer for {UNREACHABLE_LIMIT_S:.0f} s: {error}"
                self.run.event("retry", {"source": "repository", "message": str(error), "delay_s": round(delay, 2)})
                left = self._left_s()
                await asyncio.sleep(delay if left is None else max(0.0, min(delay, left)))
                if (reason := await self._over()) is not None:
                    return reason

    async def _session(self, control: ControlClient, retry: RetryPolicy) -> str:
        opened = await control.open_session(
            SessionRequest(
                image=str(self.manifest.ref),
                method=f"{_protocol()}-CACHE",
                options=self._options(),
                host=host_name(),
                want=0,
            )
        )
        try:
            if opened.image.root != self.manifest.root.hex():
                raise TransferError(f"the repository serves another {self.manifest.ref} than the one that is here")
            offer = _offer(opened)
            giver = self._client(offer.transport)
            async with giver.give(
                offer,
                session_id=SessionId(opened.session),
                key=opened.key,
                manifest=self.manifest,
                chunks=self.chunks,
                inherited=self.inherited,
            ) as giving:
                retry.handle_progress(time.monotonic())
                return await self._until_over(giving, _Reporter(control, opened, offer.transport))
        finally:
            with contextlib.suppress(OgcastError, TimeoutError):
                async with asyncio.timeout(GOOD_BYE_S):
                    await control.close_session(opened.session)

    async def _until_over(self, giving: Giving, reporter: _Reporter) -> str:
        if self.log and not self._entered:
            step_up()
        self._entered = True
        mode = str(giving.state()["mode"])
        if mode == LEECHER:
            return "a leecher gives nothing"
        if self.wish.seconds is None and giving.seconds is not None:
            self.wish = Wish(mode=mode, seconds=math.ceil(giving.seconds))
        self._tell(giving)
        before = Counter(self._given)
        waiting = asyncio.ensure_future(giving.wait())
        try:
            while True:
                left = self._left_s()
                await asyncio.wait([waiting], timeout=LOOK_EVERY_S if left is None else min(LOOK_EVERY_S, left))
                state = giving.state()
                self._given = before + Counter({name: state[name] for name in ("chunks_given", "bytes_given")})
                if waiting.done():
                    return waiting.result()
                if (reason := await self._over()) is not None:
                    return reason
                await reporter.report(state, seconds=time.monotonic() - self._began)
                if time.monotonic() - self._told_at >= TELL_EVERY_S:
                    self._tell(giving)
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, OgcastError):
                await waiting

    async def _over(self) -> str | None:
        left = self._left_s()
        if left is not None and left <= 0:
            return f"{self.wish.seconds} s are over"
        return await in_thread(lambda _: self.over())

    def _left_s(self) -> float | None:
        """Seconds that are left; None without end. A seeder of 0 seconds has none."""
        wish = self.wish
        if wish.seconds is None or (wish.mode == "seeder" and not wish.seconds):
            return None
        return max(0.0, self._began + wish.seconds - time.monotonic())

    def _options(self) -> str:
        """The wish, with the seconds that are left of it."""
        left = self._left_s()
        return self.wish.options if left is None else Wish(mode=self.wish.mode, seconds=math.ceil(left)).options

    def _client(self, transport: str) -> Seeding:
        if transport not in self._clients:
            settings = self.run.settings
            context = ClientContext(
                repository_host=settings.host,
                interface=settings.interface,
                state_dir=settings.state_path,
                on_event=self.run.event,
            )
            client = registry.load_client(registry.by_name(transport))(context)
            if not isinstance(client, Seeding):
                raise ProtocolError(f"{transport} says it can give and cannot", hint="a defect of that transport")
            self._clients[transport] = client
        return self._clients[transport]

    def _tell(self, giving: Giving) -> None:
        self._told_at = time.monotonic()
        self.run.event(
            "seeding",
            {
                "image": str(self.manifest.ref),
                "pid": os.getpid(),
                "options": self._options(),
                "chunks": self.manifest.chunk_count,
                **giving.state(),
                "message": f"giving {self.manifest.ref} out of {self.holds}",
            },
        )

    def _result(self, reason: str) -> dict[str, Any]:
        chunks, given = self._given["chunks_given"], self._given["bytes_given"]
        seconds = time.monotonic() - self._began
        return {
            "command": "seed",
            "image": str(self.manifest.ref),
            "options": self._options(),
            "reason": reason,
            "already": False,
            "chunks_given": chunks,
            "bytes_given": given,
            "seconds": round(seconds, 3),
            "summary": f"gave {chunks} chunks, {human_bytes(given)}, of {self.manifest.ref}; {reason}",
        }


class _Reporter:
    """Tells the repository every now and then that this session lives, for its operator, and hears so if it does not:
    a lane alone would not, where the repository was restarted with its lanes at other ports."""

    def __init__(self, control: ControlClient, opened: SessionOpened, transport: str) -> None:
        self._control = control
        self._session = opened.session
        self._every_s = max(LOOK_EVERY_S, min(opened.report_every_s, REPORT_LONGEST_S))
        self._transport = transport
        self._due = 0.0
        self._is_unknown = False

    async def report(self, state: Mapping[str, Any], *, seconds: float) -> None:
        """Report if it is due. A repository that does not answer, or knows no such state, is no error.

        SessionOverError if it does not know the session, twice: the first answer may cross the words that end it.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._every_s
        report = SessionReport(
            state="giving", have=int(state["held_chunks"]), seconds=seconds, transport=self._transport
        )
        try:
            async with asyncio.timeout(GOOD_BYE_S):
                await self._control.report(self._session, report)
        except NotFoundError as error:
            if self._is_unknown:
                raise SessionOverError("the repository has forgotten this session") from error
            self._is_unknown = True
            self._due = now + LOOK_EVERY_S
        except (OgcastError, TimeoutError):
            pass
        else:
            self._is_unknown = False


def _protocol() -> str:
    spec = next((spec for spec in registry.specs().values() if spec.capabilities.seeds), None)
    if spec is None:
        raise NotFoundError("no transport of this ogcast can give to others", hint="install one that can")
    return spec.protocol


def _offer(opened: SessionOpened) -> Offer:
    for offer in opened.offers:
        if registry.knows(offer.transport) and registry.by_name(offer.transport).capabilities.seeds:
            return Offer(transport=offer.transport, parameters=offer.parameters)
    refused = "; ".join(f"{name}: {why}" for name, why in opened.refusals.items())
    raise TransferError(
        f"the repository has nobody to give to{f' ({refused})' if refused else ''}",
        hint="its operator can switch on p2p in repod.toml",
    )
