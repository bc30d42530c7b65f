"""A membership tells what is verified, and is entered again when its lane broke."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import AuthenticationError, ConnectionFailedError, PathError
from core.ids import SessionId
from tests.support.swarms import KEY, Room, running
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.member.proto.maps import pack_wants
from transports.p2p import membership as membership_module
from transports.p2p.membership import Membership
from transports.p2p.proto.limits import HAVE_AT_ONCE
from transports.p2p.proto.messages import Assign, Health, SwarmMessage, Welcome

pytestmark = pytest.mark.asyncio

WAIT_S = 20.0


class Owner:
    """Whose membership it is: lacks everything, and writes down what it hears."""

    def __init__(self, chunks: int) -> None:
        self.wants = np.ones(chunks, dtype=np.bool_)
        self.heard: list[SwarmMessage] = []
        self.reachable: list[bool] = []
        self._news = asyncio.Event()

    def lacking(self) -> NDArray[np.bool_]:
        return self.wants

    def health(self) -> Health:
        return HEALTH

    def handle_message(self, message: SwarmMessage) -> None:
        self.heard.append(message)
        self._news.set()

    def handle_reachable(self, reachable: bool) -> None:
        self.reachable.append(reachable)
        self._news.set()

    def welcomes(self) -> list[Welcome]:
        return [message for message in self.heard if isinstance(message, Welcome)]

    async def until(self, *, welcomes: int = 0, reachable: int = 0) -> None:
        """It was welcomed so often, and repod came and went so often."""
        async with asyncio.timeout(WAIT_S):
            while len(self.welcomes()) < welcomes or len(self.reachable) < reachable:
                self._news.clear()
                await self._news.wait()


def _made(room: Room, session: SessionId, owner: Owner, *, key: bytes = KEY, port: int = 0) -> Membership:
    return Membership(
        host="127.0.0.1",
        port=port or room.server.port,
        session_id=session,
        key=key,
        mode="peer",
        held=lambda: pack_wants(~owner.wants),
        listen=lambda host: 4321 if host == "127.0.0.1" else 0,
        owner=owner,
    )


async def test_it_announces_itself_and_tells_what_was_verified_and_how_it_was() -> None:
    async with running() as room:
        session, _ = room.open()
        owner = Owner(40)
        owner.wants[39] = False
        membership = _made(room, session, owner)
        await membership.connect()
        membership.begin()
        await owner.until(welcomes=1)
        member = room.server._seats[session].swarm.directory.member(owner.welcomes()[0].member)
        assert member is not None
        assert (member.port, len(member.wanted), len(member.held)) == (4321, 39, 1)
        for chunk in range(HAVE_AT_ONCE):  # said at once, being so many
            membership.note_have(chunk)
        membership.note_have(20)  # said at the end at last
        await membership.close()
        await room.happens("lane_closed", session=session)
        assert len(member.held) == HAVE_AT_ONCE + 2
        assert member.health == HEALTH
        await membership.close()


async def test_a_lane_that_broke_is_entered_again_as_the_same_member() -> None:
    async with running() as room:
        session, _ = room.open()
        owner = Owner(40)
        membership = _made(room, session, owner)
        await membership.connect()
        membership.begin()
        await owner.until(welcomes=1)
        assert membership.reachable
        lane = room.server._seats[session].lane
        assert lane is not None
        lane.abort()
        await owner.until(welcomes=2, reachable=2)
        assert owner.reachable == [False, True]
        assert membership.rejoins == 1
        assert owner.welcomes()[0].member == owner.welcomes()[1].member
        await membership.close()


async def test_a_repository_that_knows_the_session_no_more_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership_module, "REJOIN_FIRST_S", 0.05)
    async with running() as room:
        session, _ = room.open()
        owner = Owner(40)
        membership = _made(room, session, owner)
        await membership.connect()
        membership.begin()
        await owner.until(welcomes=1)
        room.server.close_session(session, "gone")
        await owner.until(reachable=1)
        async with asyncio.timeout(WAIT_S):
            while membership.refused is None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
        assert isinstance(membership.refused, AuthenticationError)
        assert not membership.reachable
        await membership.close()


class Clumsy(Owner):
    """Has a fault."""

    def handle_message(self, message: SwarmMessage) -> None:
        super().handle_message(message)
        raise KeyError("a fault")


async def test_a_fault_ends_the_membership_and_is_named() -> None:
    async with running() as room:
        session, _ = room.open()
        owner = Clumsy(40)
        membership = _made(room, session, owner)
        await membership.connect()
        membership.begin()
        await owner.until(welcomes=1, reachable=1)
        assert owner.reachable == [False]
        assert not membership.reachable
        with pytest.raises(PathError, match=r"fault of this program in p2p: KeyError\('a fault'\)"):
            raise membership.refused or AssertionError("not told")
        await room.happens("lane_closed", session=session)
        await membership.close()


async def test_who_is_not_let_in_is_told_why() -> None:
    async with running() as room:
        session, _ = room.open()
        owner = Owner(40)
        with pytest.raises(AuthenticationError):
            await _made(room, session, owner, key=bytes(32)).connect()
        with pytest.raises(ConnectionFailedError) as caught:
            await _made(room, session, owner, port=9).connect()
        assert caught.value.hint
        assert not [message for message in owner.heard if isinstance(message, Assign)]


async def test_what_was_noted_before_a_lane_broke_is_in_the_announcement_and_not_told_again() -> None:
    async with running() as room:
        session, _ = room.open()
        owner = Owner(40)
        membership = _made(room, session, owner)
        await membership.connect()
        membership.begin()
        await owner.until(welcomes=1)
        lane = room.server._seats[session].lane
        assert lane is not None
        membership._have.append(3)  # noted, and not told yet
        owner.wants[3] = False
        lane.abort()
        await owner.until(welcomes=2, reachable=2)
        assert membership._have == []
        member = room.server._seats[session].swarm.directory.member(owner.welcomes()[1].member)
        assert member is not None
        assert 3 in member.held
        await membership.close()
