"""What repod has to tell the members of a swarm: changes are collected, and what takes each other back is not sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from transports.p2p.proto.limits import MAX_LIST_CHUNKS, MAX_LIST_PEERS
from transports.p2p.proto.messages import (
    Assign,
    Banned,
    Damaged,
    Forget,
    Meet,
    PeerAddress,
    Release,
    Stop,
    SwarmMessage,
    Welcome,
)

__all__ = ["Outbox"]

Item = TypeVar("Item")


@dataclass(slots=True)
class _Mail:
    welcome: Welcome | None = None
    banned: set[int] = field(default_factory=set)
    forget: set[int] = field(default_factory=set)
    meet: dict[int, PeerAddress] = field(default_factory=dict)
    release: dict[int, None] = field(default_factory=dict)
    assign: dict[int, None] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    stop: Stop | None = None


class Outbox:
    """By member. In each list order is kept; a member hears in the order of `_messages`."""

    def __init__(self) -> None:
        self._mail: dict[int, _Mail] = {}

    def welcome(self, member: int, message: Welcome) -> None:
        """The member begins anew: what was meant for what it said before is void."""
        self._mail[member] = _Mail(welcome=message)

    def meet(self, member: int, peer: PeerAddress) -> None:
        mail = self._of(member)
        mail.forget.discard(peer.id)
        mail.meet[peer.id] = peer

    def forget(self, member: int, peer: int) -> None:
        mail = self._of(member)
        mail.meet.pop(peer, None)
        mail.forget.add(peer)

    def banned(self, member: int, peer: int) -> None:
        mail = self._of(member)
        mail.meet.pop(peer, None)
        mail.forget.discard(peer)
        mail.banned.add(peer)

    def assign(self, member: int, chunk: int) -> None:
        # A release that was not sent yet must still be: the member is to begin this anew.
        self._of(member).assign[chunk] = None

    def release(self, member: int, chunk: int) -> None:
        mail = self._of(member)
        if chunk in mail.assign:
            del mail.assign[chunk]
        else:
            mail.release[chunk] = None

    def damaged(self, member: int, chunk: int, reason: str) -> None:
        self._of(member).damaged[chunk] = reason

    def stop(self, member: int, reason: str) -> None:
        self._of(member).stop = Stop(reason=reason)

    def drop(self, member: int) -> None:
        """Nobody is there to hear it."""
        self._mail.pop(member, None)

    def poll(self) -> list[tuple[int, SwarmMessage]]:
        """Everything to be sent now: (member, message)."""
        mails, self._mail = self._mail, {}
        return [(member, message) for member, mail in mails.items() for message in _messages(mail)]

    def _of(self, member: int) -> _Mail:
        return self._mail.setdefault(member, _Mail())


def _messages(mail: _Mail) -> Iterator[SwarmMessage]:
    if mail.welcome is not None:
        yield mail.welcome
    for ids in _cut(sorted(mail.banned), MAX_LIST_PEERS):
        yield Banned(ids=tuple(ids))
    for ids in _cut(sorted(mail.forget), MAX_LIST_PEERS):
        yield Forget(ids=tuple(ids))
    for peers in _cut(list(mail.meet.values()), MAX_LIST_PEERS):
        yield Meet(peers=tuple(peers))
    for chunks in _cut(list(mail.release), MAX_LIST_CHUNKS):
        yield Release(chunks=tuple(chunks))
    for chunks in _cut(list(mail.assign), MAX_LIST_CHUNKS):
        yield Assign(chunks=tuple(chunks))
    for chunk, reason in mail.damaged.items():
        yield Damaged(chunk=chunk, reason=reason)
    if mail.stop is not None:
        yield mail.stop


def _cut(items: list[Item], size: int) -> Iterable[list[Item]]:
    return (items[at : at + size] for at in range(0, len(items), size))
