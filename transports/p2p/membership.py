"""A client's membership of a swarm: the lane to repod, kept up, and entered again when repod comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.connecting import give_up_unheard
from core.errors import AuthenticationError, ConnectionFailedError, OgcastError, ProtocolError
from core.ids import SessionId
from transports.member.calling import UNHEARD_S, call
from transports.member.lane import MemberLane
from transports.member.proto.maps import pack_wants
from transports.p2p.faults import fault_of
from transports.p2p.proto.limits import HAVE_AT_ONCE, HAVE_INTERVAL_S, HEALTH_EVERY_S, MAX_LIST_CHUNKS
from transports.p2p.proto.messages import DECODER, Announce, Closing, Have, Health, Leave, SwarmMessage, Welcome

__all__ = ["MemberHost", "Membership"]

CONNECT_S = 5.0
REJOIN_FIRST_S = 0.5
REJOIN_LONGEST_S = 8.0


class MemberHost(Protocol):
    """Whose membership it is."""

    def lacking(self) -> NDArray[np.bool_]:
        """One flag a chunk: lacked and wanted."""

    def health(self) -> Health: ...

    def handle_message(self, message: SwarmMessage) -> None:
        """What repod says, Welcome included."""

    def handle_reachable(self, reachable: bool) -> None:
        """Repod is there again, or no more."""


class Membership:
    """`connect` first, then `begin`; `close` last. Everything runs on one loop."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        session_id: SessionId,
        key: bytes,
        mode: str,
        held: Callable[[], bytes],
        listen: Callable[[str], int],
        owner: MemberHost,
    ) -> None:
        """`held` packs what can be asked for; `listen` is given this machine's address towards repod and returns the
        port on which others may ask, 0 for none."""
        self._address = (host, port)
        self._session_id = session_id
        self._key = key
        self._mode = mode
        self._held = held
        self._listen = listen
        self._owner = owner
        self._lane: MemberLane[SwarmMessage] | None = None
        self._have: list[int] = []
        self._have_timer: asyncio.TimerHandle | None = None
        self._have_interval_s = HAVE_INTERVAL_S
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self.refused: OgcastError | None = None
        """Why it cannot last: repod came back and does not know this session, or a fault of this program."""
        self.rejoins = 0
        self.member: int | None = None
        """What repod calls this member; None before it said so."""

    @property
    def reachable(self) -> bool:
        """The lane is up."""
        return self._lane is not None and not self._lane.broken

    async def go_on(self, sock: socket.socket, heard: bytes) -> None:
        """Instead of `connect`: the lane of `sock` was entered and announced on already, and said `heard`.

        Raises ConnectionFailedError if it broke meanwhile.
        """
        reader = asyncio.StreamReader()
        reader.feed_data(heard)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            sock.setblocking(False)
            give_up_unheard(sock, UNHEARD_S)
            transport, _ = await self._loop.create_connection(lambda: protocol, sock=sock)
        except OSError as error:
            raise ConnectionFailedError(f"the member lane broke: {error.strerror or error}") from error
        self._lane = MemberLane(reader, asyncio.StreamWriter(transport, protocol, reader, self._loop), DECODER)

    async def connect(self) -> None:
        """Enter. Raises ConnectionFailedError, AuthenticationError, ProtocolError."""
        host, port = self._address
        reader, writer = await call(host, port, session_id=self._session_id, key=self._key, within_s=CONNECT_S)
        lane = MemberLane(reader, writer, DECODER)
        try:
            listening = self._listen(str(writer.get_extra_info("sockname")[0]))
        except BaseException:
            await lane.close()
            raise
        self._lane = lane
        self._have.clear()
        lane.send(
            Announce(
                port=listening,
                subnet="",
                mode=self._mode,
                wanted=pack_wants(self._owner.lacking()),
                held=self._held(),
            )
        )

    def begin(self) -> None:
        """Hear and tell from now on."""
        self._tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._tell_health())]
        for task in self._tasks:
            task.add_done_callback(self._handle_ended)

    def hand_to(self, owner: MemberHost) -> None:
        """Somebody else is told from now on, and answers for this membership."""
        self._owner = owner

    def note_have(self, chunk: int, *, at_once: bool = False) -> None:
        """A chunk was verified; repod hears of it soon, or at once if the next assignment waits for it."""
        self._have.append(chunk)
        if at_once or len(self._have) >= HAVE_AT_ONCE:
            self._tell_have()
        elif self._have_timer is None:
            self._have_timer = self._loop.call_later(self._have_interval_s, self._tell_have)

    def send(self, message: SwarmMessage) -> None:
        """Tell repod, if it can be reached."""
        if self._lane is not None:
            self._lane.send(message)

    async def close(self, last: SwarmMessage | None = None) -> None:
        """Say what is left to say, and leave; repeating is harmless."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._tell_have()
        if self._have_timer is not None:
            self._have_timer.cancel()
        lane, self._lane = self._lane, None
        if lane is not None:
            words = [self._owner.health(), last, Leave(reason="")]
            await lane.part(*[message for message in words if message is not None])

    # ------------------------------------------------------------------ tasks

    def _handle_ended(self, task: asyncio.Task[None]) -> None:
        """A fault: nothing would be heard or told any more, and nobody would know why."""
        if (fault := fault_of(task)) is None:
            return
        for each in self._tasks:
            each.cancel()
        self.refused = fault
        if self._lane is not None:
            self._lane.abort()
        self._owner.handle_reachable(False)

    async def _keep_up(self) -> None:
        while True:
            with contextlib.suppress(ProtocolError):
                await self._hear()
            lane, self._lane = self._lane, None
            self._owner.handle_reachable(False)
            if lane is not None:
                await lane.close()
            await self._rejoin()
            self.rejoins += 1
            self._owner.handle_reachable(True)

    async def _hear(self) -> None:
        """Until the lane ends."""
        lane = self._lane
        assert lane is not None
        while (message := await lane.receive()) is not None:
            if isinstance(message, Welcome):
                self._have_interval_s = message.have_interval_ms / 1000
                self.member = message.member
            self._owner.handle_message(message)
            if isinstance(message, Closing) and message.retry:
                return

    async def _rejoin(self) -> None:
        pause = REJOIN_FIRST_S
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, REJOIN_LONGEST_S)
            try:
                await self.connect()
            except AuthenticationError as error:
                self.refused = error
            except OgcastError:
                continue
            else:
                self.refused = None
                return

    async def _tell_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            self.send(self._owner.health())

    def _tell_have(self) -> None:
        if self._have_timer is not None:
            self._have_timer.cancel()
            self._have_timer = None
        while self._have:
            chunks, self._have = self._have[:MAX_LIST_CHUNKS], self._have[MAX_LIST_CHUNKS:]
            self.send(Have(chunks=tuple(chunks)))
