"""Peers that misbehave towards others: those end well, lose little, and say who it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from images.stores import Encoding
from tests.support.liars import Liar, lying, mute, silent, talk
from tests.support.swarms import announce, running
from tests.support.takers import SLOTS, Taker
from transports.conformance.sample import CHUNK_BYTES
from transports.member.proto.maps import pack_wants
from transports.p2p.proto import requests as requests_module
from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.messages import BadChunk, Welcome
from transports.p2p.proto.needs import NEED_CHUNKS
from transports.p2p.proto.requests import FIRST_EXPECTED_S, PATIENCE
from transports.p2p.proto.standing import REFUSALS_MAX
from transports.p2p.proto.swarm import PIPELINE
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.messages import pack_chunks
from transports.unicast.proto.reads import Read
from transports.unicast.proto.server import ServerLane

pytestmark = pytest.mark.asyncio

CHUNKS = 60
BOMB_BYTES = 1 << 30


def _bomb(*, stated: bool) -> bytes:
    """Few bytes that decode to a GiB."""
    made = zstandard.ZstdCompressor(level=1, write_content_size=stated).compressobj(size=BOMB_BYTES if stated else -1)
    zeros = bytes(1 << 20)
    return b"".join([*(made.compress(zeros) for _ in range(BOMB_BYTES >> 20)), made.flush()])


async def _wrong(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
    """The right length, other bytes."""
    length = liar.room.manifest.raw_length(read.chunk)  # type: ignore[arg-type]
    writer.write(liar.frame(read, random.Random(read.chunk).randbytes(length)))


async def _rubbish(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
    """No frame at all."""
    writer.write(liar.frame(read, b"\xff" * 1000, encoding=Encoding.ZSTD))


async def _short(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
    """A good frame, cut."""
    stored, encoding = liar.good_frame(read.chunk)
    writer.write(liar.frame(read, stored[:-1], encoding=encoding))


async def _other(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
    """Another chunk of the image."""
    stored, encoding = liar.good_frame((read.chunk + 1) % (CHUNKS - 1))
    writer.write(liar.frame(read, stored, encoding=encoding))


@pytest.mark.parametrize("answer", [_wrong, _rubbish, _short, _other])
async def test_who_sends_wrong_chunks_is_banned_and_named_with_both_digests(
    answer: Callable[..., object],
) -> None:
    async with running(chunks=CHUNKS) as room, lying(room, answer) as liar:  # type: ignore[arg-type]
        takers = [Taker(room).start() for _ in range(2)]
        for taker in takers:
            await taker.done()
            assert taker.arena.free == SLOTS
        accused = [taker for taker in takers if taker.bad]
        assert accused
        for taker in accused:
            assert taker.bad == {f"peer {liar.member}": taker.bad.total()}
            assert taker.bad.total() <= 2  # what was under way when the first one came
        event = await room.happens("bad_chunk", session=liar.guest.session)
        assert event["expected"] == room.manifest.digest(event["chunk"]).hex()
        assert event["got"] != event["expected"]
        assert room.server.counters()["bad_chunks"] == len(accused)
        if len(accused) == 2:
            assert (await room.happens("peer_banned"))["session"] == liar.guest.session


async def test_who_promises_and_never_sends_is_left_alone_and_repod_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "EXPIRY_LEAST_S", 0.2)
    monkeypatch.setattr(requests_module, "FIRST_EXPECTED_S", 0.05)
    async with running(chunks=CHUNKS) as room, lying(room, silent) as liar:
        taker = Taker(room).start()
        await taker.done(seconds=60)
        assert liar.asked
        assert (await room.happens("peer_lost"))["session"] == liar.guest.session
        assert taker.sources == {"repository": CHUNKS}
        assert taker.arena.free == SLOTS


async def test_who_promises_and_never_sends_costs_a_room_of_two_less_than_what_one_of_its_chunks_is_waited_for() -> (
    None
):
    async with running(chunks=CHUNKS) as room, lying(room, silent) as liar:
        begun = asyncio.get_running_loop().time()
        takers = [Taker(room).start() for _ in range(2)]
        for taker in takers:
            await taker.done()
            assert taker.arena.free == SLOTS
        assert asyncio.get_running_loop().time() - begun < PATIENCE * FIRST_EXPECTED_S
        assert (await room.happens("peer_discredited"))["session"] == liar.guest.session


async def test_who_has_nothing_of_what_it_promises_is_left_alone_and_the_origin_serves_everybody() -> None:
    async def refuse(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
        header = Header(op=Op.READ, reply=True, status=Status.NOT_FOUND, message=read.message, subject=read.chunk)
        writer.write(header.encode())

    async with running(chunks=CHUNKS) as room, lying(room, refuse) as liar:
        takers = [Taker(room).start() for _ in range(2)]
        for taker in takers:
            await taker.done()
            assert taker.arena.free == SLOTS
        assert (await room.happens("peer_discredited"))["session"] == liar.guest.session
        assert REFUSALS_MAX <= len(liar.asked) <= 2 * (REFUSALS_MAX + PIPELINE)
        assert not room.server.counters()["chunks_needed"]  # nobody had to ask for single chunks


async def test_who_promises_and_does_not_answer_a_handshake_is_given_up_after_one_wait() -> None:
    async with running(chunks=CHUNKS) as room, mute(room), mute(room), mute(room):
        begun = asyncio.get_running_loop().time()
        takers = [Taker(room).start() for _ in range(2)]
        for taker in takers:
            await taker.done()
            assert taker.arena.free == SLOTS
        waits = (asyncio.get_running_loop().time() - begun) / NEED_AFTER_S
        assert waits < CHUNKS / NEED_CHUNKS / 2
        assert room.server.counters()["peers_discredited"] == 3
        assert room.server.counters()["chunks_sent"] < 1.2 * CHUNKS


async def test_who_drips_a_chunk_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "EXPIRY_LEAST_S", 0.2)
    monkeypatch.setattr(requests_module, "FIRST_EXPECTED_S", 0.05)

    async def drip(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
        stored, encoding = liar.good_frame(read.chunk)
        whole = liar.frame(read, stored, encoding=encoding)
        for at in range(0, len(whole), 16):
            writer.write(whole[at : at + 16])
            await asyncio.sleep(0.05)

    async with running(chunks=CHUNKS) as room, lying(room, drip) as liar:
        taker = Taker(room).start()
        await taker.done(seconds=60)
        assert liar.asked
        assert taker.sources["repository"] >= 0.9 * CHUNKS  # a drop may be the last one
        assert taker.client.state() == {}
        assert taker.arena.free == SLOTS


async def test_who_claims_to_hold_everything_and_does_not_listen_delays_nobody() -> None:
    async with running(chunks=CHUNKS) as room:
        forger = await room.join(announce(CHUNKS, held=range(CHUNKS), port=9))
        await forger.hear(Welcome)
        talking = asyncio.create_task(talk(forger))
        takers = [Taker(room).start() for _ in range(2)]
        for taker in takers:
            await taker.done(seconds=60)
        assert (await room.happens("peer_discredited"))["session"] == forger.session
        talking.cancel()


@pytest.mark.parametrize("stated", [True, False])
async def test_a_chunk_that_would_decode_to_a_gibibyte_takes_no_memory(stated: bool) -> None:
    bomb = _bomb(stated=stated)
    assert len(bomb) < CHUNK_BYTES

    async def blow(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
        writer.write(liar.frame(read, bomb, encoding=Encoding.ZSTD))

    async with running(chunks=CHUNKS) as room, lying(room, blow) as liar:
        taker = Taker(room)
        before = _peak_bytes(begin=True)
        await taker.start().done()
        assert taker.bad == {f"peer {liar.member}": taker.bad.total()}
        assert _peak_bytes() - before < 64 << 20


@pytest.mark.parametrize("kind", ["long frame", "not asked", "long map", "map of another image", "news beyond", "list"])
async def test_more_than_was_asked_for_is_not_taken_and_the_peer_is_given_up(kind: str) -> None:
    async def offend(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
        if kind == "long frame":
            writer.write(liar.frame(read, bytes(100), length=16 << 20))
        elif kind == "not asked":
            strange = Read(message=read.message, handle=1, chunk=max(set(range(CHUNKS)) - set(liar.asked)), cost=1)
            writer.write(liar.frame(strange, bytes(100)))
        elif kind == "news beyond":
            payload = pack_chunks([CHUNKS])
            writer.write(Header(op=Op.NEWS, subject=1, length=len(payload)).encode() + payload)
        elif kind == "list":
            writer.write(Header(op=Op.NEWS, subject=1, length=3).encode() + b"\1\2\3")

    async with running(chunks=CHUNKS) as room, lying(room, offend) as liar:
        if kind == "long map":
            liar.map = zstandard.ZstdCompressor().compress(bytes(BOMB_BYTES >> 4))
        elif kind == "map of another image":
            liar.map = pack_wants(np.ones(CHUNKS + 80, dtype=np.bool_))
        taker = Taker(room).start()
        await taker.done()
        assert (await room.happens("peer_lost"))["session"] == liar.guest.session
        assert liar.admitted == 1
        assert taker.sources == {"repository": CHUNKS}
        assert taker.arena.free == SLOTS
        assert not [message for message in liar.guest.heard if isinstance(message, BadChunk)]


def _peak_bytes(*, begin: bool = False) -> int:
    """The most memory this process had, since the last call with `begin`."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no high-water mark in /proc/self/status")
