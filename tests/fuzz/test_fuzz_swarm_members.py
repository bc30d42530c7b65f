"""Whatever members and repod say to each other: nothing happens, something allowed does, or a documented error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arena import Arena
from core.errors import BusyError, ProtocolError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ServedSession
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.member.proto.maps import pack_wants
from transports.p2p.incoming import SwarmIncoming
from transports.p2p.membership import Membership
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.proto import messages as m
from transports.p2p.proto.assigned import Assigned
from transports.p2p.proto.directory import Directory
from transports.p2p.proto.limits import MAX_CHUNKS, MAX_NEIGHBOURS
from transports.p2p.proto.options import SwarmOptions
from transports.p2p.proto.rules import SwarmRules
from transports.p2p.proto.swarm import Swarm as Asking
from transports.p2p.shelf import Shelf
from transports.p2p.swarm import Swarm, SwarmLane

CHUNKS = 20
MANIFEST, STORE, _ = sample_image(chunks=CHUNKS)
EXAMPLES = settings(max_examples=120, deadline=None)

chunk = st.one_of(st.integers(0, CHUNKS - 1), st.sampled_from([CHUNKS, MAX_CHUNKS - 1]))
chunks = st.one_of(
    st.lists(st.integers(0, CHUNKS - 1), min_size=1, max_size=30), st.lists(chunk, min_size=1, max_size=3)
).map(tuple)
text = st.text(max_size=20)
count = st.sampled_from([0, 1, 1000, (1 << 48) - 1])
maps = st.one_of(
    st.lists(st.booleans(), min_size=CHUNKS, max_size=CHUNKS).map(lambda flags: pack_wants(np.array(flags))),
    st.lists(st.booleans(), max_size=40).map(lambda flags: pack_wants(np.array(flags, dtype=np.bool_))),
    st.binary(max_size=40),
)
keys = st.sampled_from([bytes(32), *(bytes(MANIFEST.digest(number)) for number in range(CHUNKS))])  # type: ignore[arg-type]


def from_members(ids: st.SearchStrategy[int]) -> st.SearchStrategy[m.SwarmMessage]:
    """What a client may say, and what it may not; `ids` are members it might name."""
    return st.one_of(
        st.builds(
            m.Announce,
            port=st.sampled_from([0, 1, 65535]),
            subnet=st.sampled_from(["", "a", "b", "\x00", "x" * 64]),
            mode=st.sampled_from(["peer", "seeder", "leecher"]),
            wanted=maps,
            held=maps,
        ),
        st.builds(m.Have, chunks=chunks),
        st.builds(m.Gone, chunks=chunks),
        st.builds(m.Failed, chunks=chunks, reason=text),
        st.builds(m.Need, chunks=chunks),
        st.builds(m.BadChunk, peer=ids, chunk=chunk, expected=keys, got=keys),
        st.builds(m.Lost, peer=ids, reason=text),
        st.builds(
            m.Health,
            missing=st.integers(0, MAX_CHUNKS),
            from_same=count,
            from_other=count,
            from_origin=count,
            up_same=count,
            up_other=count,
            duplicates=count,
            rate=count,
            backlog=st.floats(0, 1),
            ring_chunks=count,
            neighbours=st.integers(0, 65535),
        ),
        st.just(m.Done()),
        from_repod(ids),
    )


def from_repod(ids: st.SearchStrategy[int]) -> st.SearchStrategy[m.SwarmMessage]:
    """What repod says."""
    peer = st.builds(
        m.PeerAddress,
        id=ids,
        host=st.sampled_from(["10.0.0.1", "::1", "nobody.invalid"]),
        port=st.integers(1, 65535),
        credential=st.just(bytes(32)),
        same_subnet=st.booleans(),
        bridge=st.booleans(),
    )
    some = st.lists(ids, min_size=1, max_size=64).map(tuple)
    return st.one_of(
        st.builds(
            m.Welcome,
            member=ids,
            listen_key=st.just(bytes(32)),
            subnet=st.just("a"),
            window=st.sampled_from([1, 5, MAX_CHUNKS]),
            slots=st.sampled_from([1, 65535]),
            have_interval_ms=st.sampled_from([1, 65535]),
        ),
        st.builds(m.Meet, peers=st.lists(peer, min_size=1, max_size=64).map(tuple)),
        st.builds(m.Forget, ids=some),
        st.builds(m.Banned, ids=some),
        st.builds(m.Assign, chunks=chunks),
        st.builds(m.Release, chunks=chunks),
        st.builds(m.Damaged, chunk=chunk, reason=text),
        st.builds(m.Stop, reason=text),
        st.builds(m.Closing, reason=text, retry=st.booleans()),
    )


class _Lane:
    """Where repod's words would go."""

    peer = "10.0.0.1"

    def __init__(self) -> None:
        self.heard: list[m.SwarmMessage] = []
        self.closed = False

    def send(self, message: m.SwarmMessage) -> None:
        assert m.DECODER.decode(m.msgspec.msgpack.encode(message)) == message
        self.heard.append(message)

    def finish(self) -> None:
        self.closed = True

    abort = finish


@EXAMPLES
@given(st.data())
def test_repod_hears_members(data: st.DataObject) -> None:
    directory = Directory(
        chunks=CHUNKS,
        digest=lambda number: MANIFEST.digest(number),  # type: ignore[arg-type]
        secret=bytes(32),
        rules=SwarmRules(max_members=4),
        rng=random.Random(1),
    )
    events: list[str] = []
    assigned = Assigned(CHUNKS)
    swarm = Swarm(
        MANIFEST,
        STORE,
        directory,
        lambda name, fields: events.append(name),
        on_assigned=lambda session, chunks: assigned.add(chunks),
        on_taken_back=lambda session, chunks: assigned.remove(chunks),
    )
    options = SwarmOptions(mode="peer", seconds=60)
    seats = []
    for number in range(5):
        session = ServedSession(id=SessionId(f"s{number}"), key=bytes(32), manifest=MANIFEST, chunks=STORE)
        seats.append((swarm.seat(session, options), cast(SwarmLane, _Lane())))
    for _ in range(data.draw(st.integers(1, 25))):
        seat, lane = seats[data.draw(st.integers(0, 4))]
        known = [0xFFFF_FFFF, *(other.member for other, _ in seats if other.member)]
        message = data.draw(from_members(st.sampled_from(known)))
        try:
            swarm.handle_message(seat, lane, message)
        except (ProtocolError, BusyError):
            swarm.handle_left(seat, lane, "", gone=True)
        if data.draw(st.integers(0, 9)) == 0:
            swarm.handle_left(seat, lane, "", gone=data.draw(st.booleans()))
        swarm.tick()
        assert len(directory) <= 4
        for scatter in directory.scatters.values():
            assert 0 <= scatter.under_way <= CHUNKS
            assert all(scatter.holders(number) <= len(scatter) for number in range(CHUNKS))
        for other, _ in seats:
            swarm.state(other)


class _Undialled(Neighbourhood):
    """Connections nobody answers."""

    def _keep(self, source: int, address: Any) -> None:
        pass


@EXAMPLES
@given(st.data())
def test_a_member_hears_repod(data: st.DataObject) -> None:
    asyncio.run(_hear(data.draw))


async def _hear(draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    loop = asyncio.get_running_loop()
    want, arena, shelf = WantMap(CHUNKS), Arena(slot_bytes=CHUNK_BYTES, slots=4), Shelf(MANIFEST)
    machine = Asking(want, seed=1, window=8, slots=4, rng=random.Random(1), now=loop.time())
    incoming = SwarmIncoming(
        swarm=machine, shelf=shelf, want=want, arena=arena, server=None, on_event=lambda name, fields: None
    )
    neighbours = _Undialled(
        make=lambda *_: None,  # type: ignore[arg-type,return-value]
        on_step=incoming.handle_step,
        on_lost=incoming.handle_lost,
        on_fault=incoming.handle_fault,
        interface=None,
    )
    membership = Membership(
        host="127.0.0.1",
        port=1,
        session_id=SessionId("s"),
        key=bytes(32),
        mode="peer",
        held=shelf.packed,
        listen=lambda host: 0,
        owner=incoming,
    )
    incoming._membership = membership
    incoming._neighbours = neighbours
    incoming._exchange.begin(neighbours)
    ids = st.sampled_from([1, 2, 3, 0xFFFF_FFFF])
    for _ in range(draw(st.integers(1, 25))):
        try:
            incoming.handle_message(draw(from_members(ids)))
        except ProtocolError:
            break
        machine.handle_timer(loop.time() + draw(st.integers(0, 9)))
        assert neighbours.known <= MAX_NEIGHBOURS
        assert all(number < CHUNKS for number in machine._assigned)
    assert arena.free == arena.slots
    await incoming.close()
    shelf.close()
