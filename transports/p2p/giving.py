"""A membership that only gives: what is held can be asked for, and nothing is lacked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import AuthenticationError, ConnectionFailedError, ProtocolError
from transports.p2p.membership import Membership
from transports.p2p.offer import SwarmOffer
from transports.p2p.peer_server import PeerServer
from transports.p2p.proto.messages import (
    Announce,
    BadChunk,
    Banned,
    Closing,
    Done,
    Failed,
    Gone,
    Have,
    Health,
    Leave,
    Lost,
    Need,
    Stop,
    SwarmMessage,
    Welcome,
)
from transports.p2p.shelf import Shelf
from transports.p2p.traffic import Traffic

__all__ = ["SwarmGiving"]

LOOK_EVERY_S = 0.5
"""How often it is looked whether repod, having come back, has refused this session."""
_FROM_MEMBERS = Announce | Have | Gone | Failed | Need | BadChunk | Lost | Health | Done | Leave


class SwarmGiving:
    """A Giving, and the owner of its membership (MemberHost). `begin` first; one loop."""

    def __init__(
        self,
        offer: SwarmOffer,
        shelf: Shelf,
        server: PeerServer,
        *,
        on_event: Callable[[str, Mapping[str, Any]], None],
        traffic: Traffic | None = None,
    ) -> None:
        """`traffic` is what came in the membership before, if it did not begin with this."""
        self._offer = offer
        self._shelf = shelf
        self._server = server
        self._on_event = on_event
        self._membership: Membership | None = None
        self._loop = asyncio.get_running_loop()
        self._traffic = traffic or Traffic(now=self._loop.time())
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._closed = ""
        """Why the repository ended the session, though it has nothing against this member; empty if it did not."""
        self.banned_peers = 0

    def begin(self, membership: Membership) -> None:
        """It is entered: hear and tell from now on."""
        self._membership = membership
        membership.begin()
        membership.send(Done())

    def take_over(self, membership: Membership) -> None:
        """The membership was somebody's who lacks nothing any more."""
        self._membership = membership
        membership.hand_to(self)
        membership.send(Done())

    # ------------------------------------------------------------------ Giving

    @property
    def seconds(self) -> float | None:
        """See Giving."""
        return None if self._offer.mode == "seeder" and not self._offer.seconds else float(self._offer.seconds)

    def state(self) -> Mapping[str, Any]:
        """See Giving."""
        return {
            "mode": self._offer.mode,
            "held_chunks": self._shelf.count,
            "chunks_given": self._server.counts["chunks_sent"],
            "bytes_given": self._server.counts["bytes_sent"],
            "receivers": self._server.lanes,
            "reachable": self._membership is not None and self._membership.reachable,
        }

    async def wait(self) -> str:
        """See Giving."""
        assert self._membership is not None
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=LOOK_EVERY_S)
            if self._ended.done():  # the session of who is banned, or has to stop, is closed right after that was said
                break
            refused = self._membership.refused
            if self._closed:  # as one that stops does: another session may be had when it is back
                raise ConnectionFailedError(f"the repository ended the session: {self._closed}")
            if isinstance(refused, AuthenticationError):
                raise ConnectionFailedError("the repository has forgotten this session")
            if refused is not None:
                raise refused
        return self._ended.result()

    # ------------------------------------------------------------------ MemberHost

    def lacking(self) -> NDArray[np.bool_]:
        """See MemberHost."""
        return np.zeros(self._shelf.manifest.chunk_count, dtype=np.bool_)

    def health(self) -> Health:
        """See MemberHost."""
        return self._traffic.health(
            now=self._loop.time(),
            missing=0,
            sent=self._server.counts["bytes_sent"],
            sent_far=self._server.bytes_far,
            duplicates=0,
            backlog=0.0,
            held=self._shelf.count,
            neighbours=self._server.lanes,
        )

    def handle_message(self, message: SwarmMessage) -> None:
        """See MemberHost. Whom to ask and what to take is of no interest here."""
        match message:
            case Welcome():
                self._server.admit(message.listen_key)
                self._server.set_slots(message.slots)
            case Banned():
                self.banned_peers += len(message.ids)
                self._server.ban(message.ids)
                if self._membership is not None and self._membership.member in message.ids:
                    self._end("the repository has banned this member")
            case Stop():
                self._end(message.reason or "nobody lacks anything")
            case Closing():
                if not message.retry:
                    self._closed = message.reason or "no reason given"
            case _ if isinstance(message, _FROM_MEMBERS):
                raise ProtocolError("the repository sent what only members send")
            case _:
                pass

    def handle_reachable(self, reachable: bool) -> None:
        """See MemberHost."""
        if reachable and self._membership is not None:
            self._membership.send(Done())
        self._on_event("swarm-repository", {"reachable": reachable})

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
