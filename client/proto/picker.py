"""Picker: the transport that suits a session best, and why, in one sentence. The table is in docs/client.md.

Nothing here knows a transport by name: ways differ in whether one sending serves all, and whether clients give to each
other. Whatever does neither comes straight from the repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["SLOW_LINK_BYTES_PER_S", "Choice", "Facts", "Way", "against_group", "pick", "pick_instead"]

SLOW_LINK_BYTES_PER_S = 50e6 / 8
"""A link below this would lose most of what is sent to a room at a room's rate."""
ROOM = 3
"""So many clients are worth a group whatever they do with the image afterwards."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One transport that can be taken."""

    name: str
    group: bool = False
    """One sending serves many."""
    peers: bool = False
    """Clients give to each other."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice is made from."""

    sessions: int = 1
    """Clients that take this image now, this one included."""
    near: int = 1
    """Those of them in this client's subnet, itself included."""
    others: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Of the others: how many get their chunks by which transport."""
    link_bytes_per_s: float | None = None
    """Speed of this client's interface, if it says so."""
    wireless: bool = False
    cached: bool = False
    """The image goes into the CACHE, from where all of it can be given to others."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A transport, and the sentence that says why."""

    name: str
    reason: str


def pick(ways: Sequence[Way], facts: Facts) -> Choice | None:
    """The best of `ways`, which can all be taken now; None if there is none."""
    group = next((way for way in ways if way.group), None)
    peers = next((way for way in ways if way.peers), None)
    direct = next((way for way in ways if not way.group and not way.peers), None)
    if facts.sessions <= 1 and (alone := direct or peers or group):
        return Choice(name=alone.name, reason=f"no other client takes this image now: {alone.name}")
    against = against_group(facts.link_bytes_per_s, wireless=facts.wireless)
    if group is not None and not against:
        under_way = facts.others.get(group.name, 0)
        if under_way:
            return Choice(
                name=group.name,
                reason=f"{_clients(under_way)} already {_get(under_way)} this image from one sending: {group.name}",
            )
        pair = facts.sessions < ROOM and facts.cached and peers is not None and facts.near > 1
        if not pair:
            return Choice(
                name=group.name,
                reason=f"{_clients(facts.sessions)} take this image, and one sending serves all: {group.name}",
            )
    found = pick_instead(ways, facts)
    if found is None:
        return None if group is None else Choice(name=group.name, reason=f"nothing else is left: {group.name}")
    return Choice(
        name=found.name, reason=f"{against}; {found.reason}" if against and group is not None else found.reason
    )


def pick_instead(ways: Sequence[Way], facts: Facts) -> Choice | None:
    """The best of `ways` but those that serve a group; None if there is none."""
    peers = next((way for way in ways if way.peers), None)
    direct = next((way for way in ways if not way.group and not way.peers), None)
    if peers is not None and (facts.near > 1 or direct is None):
        return Choice(
            name=peers.name,
            reason=f"{_clients(facts.near)} of this subnet can give to each other: {peers.name}"
            if facts.near > 1
            else f"nothing else is left: {peers.name}",
        )
    if direct is not None:
        return Choice(name=direct.name, reason=f"nobody else in this subnet takes this image: {direct.name}")
    return None


def against_group(link_bytes_per_s: float | None, *, wireless: bool) -> str:
    """Why a client with such a link is better left out of a group; empty if it is not."""
    if wireless:
        return "a wireless link carries multicast at its lowest rate"
    if link_bytes_per_s is not None and link_bytes_per_s < SLOW_LINK_BYTES_PER_S:
        return f"a link of {link_bytes_per_s * 8 / 1e6:.0f} Mbit/s is too slow for what is sent to a room"
    return ""


def _clients(count: int) -> str:
    return f"{count} client" if count == 1 else f"{count} clients"


def _get(count: int) -> str:
    return "gets" if count == 1 else "get"
