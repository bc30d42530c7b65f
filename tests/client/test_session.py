from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.budget import budget_for
from client.figures import Figures
from client.journal import Journal, JournalIdentity, read_journal
from client.proto.brake import Brake
from client.proto.plan import RestorePlan
from client.readback import matching_chunks
from client.session import BAD_DELIVERIES_MAX, LENT_SHARE, RETRY_FIRST_S, Session
from client.sources.local import LocalSource
from client.targets import CacheTarget, PartitionTarget
from client.verifier import Verifier
from client.writer import Verified, Writer
from core.arena import Arena
from core.errors import ChunkError, ConnectionFailedError, PartitionError, SessionOverError, TransferError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.extents import Extents
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.support.images import MadeImage, make_image, random_extents
from transports.base import Delivery, Incoming

pytestmark = pytest.mark.asyncio

CHUNK = 65536


class FlakySource:
    """Delivers from a store, breaks after some deliveries, and damages some frames on their way."""

    label = "repository"
    supply = Brake.NETWORK

    def __init__(
        self,
        store: MemoryStore,
        *,
        breaks_after: Sequence[int] = (),
        breaks_with: Mapping[int, Exception] | None = None,
        damaged: Mapping[int, int] | None = None,
    ):
        """`breaks_with`: what it breaks with the n-th time, from 0, where it is not a cut."""
        self._store = store
        self._errors = dict(breaks_with or {})
        self._opened = 0
        self._breaks = list(breaks_after)
        self._damaged = dict(damaged or {})
        self.rejected: list[int] = []

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        async with LocalSource(self._store).fetch(manifest=manifest, want=want, arena=arena) as inner:
            error = self._errors.get(self._opened, ConnectionFailedError("the cable was pulled"))
            self._opened += 1
            yield _Flaky(inner, self._breaks.pop(0) if self._breaks else None, error, self._damaged, self.rejected)


class UnpreparedSource:
    """Delivers frames that can be read only after `prepare`."""

    label = "repository"
    supply = Brake.NETWORK

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.prepared: list[tuple[int, int]] = []
        """Chunk and thread."""

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        async with LocalSource(self._store).fetch(manifest=manifest, want=want, arena=arena) as inner:
            yield _Unprepared(inner, self.prepared)


class _Unprepared:
    def __init__(self, inner: Incoming, prepared: list[tuple[int, int]]) -> None:
        self._inner = inner
        self._prepared = prepared

    def __aiter__(self) -> _Unprepared:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await anext(self._inner)
        delivery.frame[0] ^= 255

        def prepare() -> None:
            delivery.frame[0] ^= 255
            self._prepared.append((delivery.chunk, threading.get_ident()))

        delivery.prepare = prepare
        return delivery

    def accept(self, delivery: Delivery) -> None:
        pass

    def reject(self, delivery: Delivery, reason: str) -> None:
        raise AssertionError(reason)


class _Flaky:
    def __init__(
        self, inner: Incoming, left: int | None, error: Exception, damaged: dict[int, int], rejected: list[int]
    ) -> None:
        self._inner = inner
        self._left = left
        self._error = error
        self._damaged = damaged
        self._rejected = rejected

    def __aiter__(self) -> _Flaky:
        return self

    async def __anext__(self) -> Delivery:
        if self._left == 0:
            raise self._error
        if self._left is not None:
            self._left -= 1
        delivery = await anext(self._inner)
        delivery.source = "repository"
        if self._damaged.get(delivery.chunk, 0):
            self._damaged[delivery.chunk] -= 1
            delivery.frame[len(delivery.frame) // 2] ^= 1
        return delivery

    def accept(self, delivery: Delivery) -> None:
        pass

    def reject(self, delivery: Delivery, reason: str) -> None:
        self._rejected.append(delivery.chunk)


class TwiceSource:
    """Delivers everything twice in a row."""

    label = "repository"
    supply = Brake.NETWORK

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.delivered = 0
        self.accepted: list[int] = []

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        async with LocalSource(self._store).fetch(manifest=manifest, want=want, arena=arena) as inner:
            yield _Twice(inner, self)


class _Twice:
    def __init__(self, inner: Incoming, source: TwiceSource) -> None:
        self._inner = inner
        self._source = source
        self._again: Delivery | None = None

    def __aiter__(self) -> _Twice:
        return self

    async def __anext__(self) -> Delivery:
        if self._again is None:
            first = await anext(self._inner)
            self._again = Delivery(
                chunk=first.chunk,
                encoding=first.encoding,
                frame=memoryview(bytes(first.frame)),
                source=first.source,
                release=lambda: None,
            )
            delivery = first
        else:
            delivery, self._again = self._again, None
        self._source.delivered += 1
        return delivery

    def accept(self, delivery: Delivery) -> None:
        self._source.accepted.append(delivery.chunk)

    def reject(self, delivery: Delivery, reason: str) -> None:
        raise AssertionError(reason)


class MemorySink:
    """A model of a disk; `fails_after` writes it vanishes, having kept half of the last one."""

    name = identity = "model"
    sector_size = 512
    reads_back = True

    def __init__(self, content: bytes, fails_after: int | None = None) -> None:
        self.content = bytearray(content)
        self.size = len(content)
        self.fails_after = fails_after
        self.writes = 0

    def prepare(self) -> None:
        pass

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        data = b"".join(buffers)
        if self.fails_after is not None and self.writes >= self.fails_after:
            self.content[offset : offset + len(data) // 2] = data[: len(data) // 2]
            raise PartitionError("the disk went away")
        self.writes += 1
        self.content[offset : offset + len(data)] = data

    def zero(self, start: int, stop: int) -> None:
        self.content[start:stop] = bytes(stop - start)

    def discard(self, start: int, stop: int) -> bool:
        return False

    def flush(self) -> None:
        pass

    def drop_cache(self) -> None:
        pass

    def read(self, offset: int, into: memoryview) -> None:
        into[:] = self.content[offset : offset + len(into)]

    def close(self) -> None:
        pass


class Collected:
    """A target that keeps what it gets."""

    keeps_frames = False

    def __init__(self, *, error: Exception | None = None) -> None:
        self.chunks: dict[int, bytes] = {}
        self.order: list[int] = []
        self.error = error
        self.bytes_written = 0

    def write(self, batch: Sequence[Verified]) -> None:
        if self.error is not None:
            raise self.error
        for item in batch:
            assert item.chunk not in self.chunks
            self.chunks[item.chunk] = bytes(item.raw)
            self.order.append(item.chunk)
            self.bytes_written += len(item.raw)


def _ignore(name: str, fields: Mapping[str, Any]) -> None:
    pass


def _session(
    manifest: Manifest,
    source: Any,
    target: Any,
    *,
    want: WantMap | None = None,
    limit_s: float = 20.0,
    on_event: Callable[[str, Mapping[str, Any]], None] = _ignore,
) -> tuple[Session, Figures]:
    figures = Figures()
    session = Session(
        manifest,
        want=want if want is not None else WantMap(manifest.chunk_count),
        sources=[source] if not isinstance(source, list) else source,
        target=target,
        figures=figures,
        on_event=on_event,
        rng=random.Random(1),
        no_progress_limit_s=limit_s,
    )
    return session, figures


@pytest.fixture
def store() -> Any:
    with MemoryStore() as memory:
        yield memory


def _image(store: MemoryStore, chunks: int = 40) -> tuple[MadeImage, Manifest]:
    made = make_image(store, Extents.all_data(chunks * CHUNK + 700))
    return made, parse_manifest(made.manifest)


async def test_every_chunk_arrives_once_with_its_content(store: MemoryStore) -> None:
    made, manifest = _image(store)
    target = Collected()
    session, figures = _session(manifest, FlakySource(store), target)
    await session.run()
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content
    assert figures.chunks_done == manifest.chunk_count
    assert figures.raw_bytes == len(made.content)
    assert figures.bytes_by_source["repository"] == made.stored_bytes
    assert figures.reconnects == 0


async def test_what_a_frame_still_needs_is_done_once_and_by_those_who_decode(store: MemoryStore) -> None:
    made, manifest = _image(store)
    target, source = Collected(), UnpreparedSource(store)
    session, _ = _session(manifest, source, target)
    await session.run()
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content
    assert sorted(chunk for chunk, _ in source.prepared) == list(range(manifest.chunk_count))
    assert threading.get_ident() not in {thread for _, thread in source.prepared}


async def test_an_image_without_chunks_needs_no_source(store: MemoryStore) -> None:
    manifest = parse_manifest(make_image(store, Extents.all_data(0)).manifest)
    session, _ = _session(manifest, [], Collected())
    await session.run()


async def test_a_broken_path_is_opened_again_and_only_the_rest_is_fetched(store: MemoryStore) -> None:
    made, manifest = _image(store)
    target = Collected()
    session, figures = _session(manifest, FlakySource(store, breaks_after=[7, 0, 11]), target)
    await session.run()
    assert len(target.chunks) == manifest.chunk_count
    assert figures.bytes_received == made.stored_bytes
    assert figures.reconnects == 3


async def test_a_damaged_chunk_is_rejected_and_fetched_again(store: MemoryStore) -> None:
    made, manifest = _image(store)
    source = FlakySource(store, damaged={3: 2, 9: 1})
    target = Collected()
    session, figures = _session(manifest, source, target)
    await session.run()
    assert sorted(source.rejected) == [3, 3, 9]
    assert figures.bad_by_source == {"repository": 3}
    assert (session._decoding, session._writing) == (0, 0)
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content


async def test_however_many_chunks_come_wrong_no_memory_is_lost(store: MemoryStore) -> None:
    made, manifest = _image(store, chunks=60)
    source = FlakySource(store, damaged=dict.fromkeys(range(60), BAD_DELIVERIES_MAX - 1))
    target = Collected()
    session, figures = _session(manifest, source, target)
    async with asyncio.timeout(60):
        await session.run()
    assert figures.bad_chunks == 60 * (BAD_DELIVERIES_MAX - 1)
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content


async def test_a_chunk_that_comes_twice_is_answered_for_twice(store: MemoryStore) -> None:
    _, manifest = _image(store)
    source = TwiceSource(store)
    session, figures = _session(manifest, source, Collected())
    await session.run()
    assert figures.duplicates > 0
    assert len(source.accepted) == source.delivered


async def test_a_chunk_that_stays_damaged_ends_the_session_and_is_never_written(store: MemoryStore) -> None:
    _, manifest = _image(store)
    target = Collected()
    session, figures = _session(manifest, FlakySource(store, damaged={3: 99}), target)
    with pytest.raises(ChunkError, match=f"wrong {BAD_DELIVERIES_MAX} times") as caught:
        await session.run()
    assert caught.value.exit_code == 5
    assert 3 not in target.chunks
    assert figures.bad_chunks == BAD_DELIVERIES_MAX


async def test_without_progress_for_the_limit_the_session_gives_up(store: MemoryStore) -> None:
    _, manifest = _image(store)
    session, _ = _session(manifest, FlakySource(store, breaks_after=[5] + [0] * 50), Collected(), limit_s=0.3)
    with pytest.raises(TransferError, match="the cable was pulled") as caught:
        await session.run()
    assert caught.value.exit_code == 53


async def test_a_session_that_the_repository_forgot_is_opened_again_at_once(store: MemoryStore) -> None:
    _, manifest = _image(store)
    delays: list[float] = []

    def note(name: str, fields: Mapping[str, Any]) -> None:
        if name == "retry":
            delays.append(fields["delay_s"])

    source = FlakySource(store, breaks_after=[5, 0, 0, 0], breaks_with={3: SessionOverError("who are you?")})
    session, _ = _session(manifest, source, Collected(), on_event=note)
    await session.run()
    assert delays[2] > 2 * RETRY_FIRST_S  # the longer it is away, the longer the next wait
    assert delays[3] <= RETRY_FIRST_S


async def test_a_machine_that_stood_still_beyond_the_limit_goes_on(store: MemoryStore) -> None:
    _, manifest = _image(store)
    target = Collected()
    source = FlakySource(store, breaks_after=[5, 0])
    session, figures = _session(manifest, source, target, limit_s=0)  # over as soon as anything breaks
    await session.run()
    assert len(target.chunks) == manifest.chunk_count
    assert figures.reconnects == 2


async def test_what_one_source_lacks_the_next_one_gives(store: MemoryStore) -> None:
    made, manifest = _image(store)
    with MemoryStore() as cache:
        for digest in manifest.digests()[:10]:
            place = store.locate(digest)
            frame = os.pread(place.fd, place.length, place.offset)
            cache.append(digest, frame, encoding=place.encoding, raw_length=place.raw_length)
        target = Collected()
        local = LocalSource(cache)
        session, figures = _session(manifest, [local, FlakySource(store)], target)
        await session.run()
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content
    assert figures.chunks_by_source == {"cache": 10, "repository": manifest.chunk_count - 10}
    assert len(local.damaged) == figures.chunks_by_source["repository"]


async def test_what_comes_out_of_the_cache_waits_for_the_cache(store: MemoryStore) -> None:
    _, manifest = _image(store)
    session, _ = _session(manifest, LocalSource(store), Collected())
    await session.run()
    shares = session.brake.shares(time.monotonic())
    assert shares["cache"] > shares["network"]


async def test_an_error_of_the_target_ends_the_session_as_itself(store: MemoryStore) -> None:
    _, manifest = _image(store)
    session, _ = _session(manifest, FlakySource(store), Collected(error=PartitionError("the disk went away")))
    with pytest.raises(PartitionError, match="the disk went away"):
        await session.run()


async def test_frames_go_into_a_store_as_they_came(store: MemoryStore) -> None:
    _, manifest = _image(store)

    class Flushed(MemoryStore):
        def flush(self) -> None:
            pass

    with Flushed() as cache:
        session, _ = _session(manifest, FlakySource(store, damaged={1: 1}), CacheTarget(cache, manifest))
        await session.run()
        assert all(cache.contains(manifest.digests()))
        for digest in manifest.digests():
            assert cache.locate(digest).length == store.locate(digest).length
    assert (session._frames.free, session._raw.free) == (session._budget.frame_slots, session._budget.raw_slots)


async def test_frames_of_a_store_are_held_until_they_are_written(store: MemoryStore) -> None:
    _, manifest = _image(store, chunks=4)
    disk = threading.Event()

    class Slow(Collected):
        keeps_frames = True

        def write(self, batch: Sequence[Verified]) -> None:
            assert disk.wait(30)
            super().write(batch)

    session, _ = _session(manifest, FlakySource(store), Slow())
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(30):
        while session._writing < manifest.chunk_count:  # noqa: ASYNC110 (nobody is told how far a session is)
            await asyncio.sleep(0.01)
    assert session._frames.free == session._budget.frame_slots - manifest.chunk_count
    assert session._raw.free == session._budget.raw_slots
    disk.set()
    await running


async def test_what_counts_as_good_is_written_though_the_session_is_cancelled(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = _image(store)
    good: list[int] = []
    told, gate = asyncio.Event(), threading.Event()
    put = Writer.put

    def late(self: Writer, item: Verified, done: asyncio.Future[str | None]) -> None:
        gate.wait()
        put(self, item, done)

    def note(chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        good.append(chunk)
        told.set()

    def letting_go(close: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """Whoever is closed first: the thread goes on only once that has begun."""

        async def closing(self: Any) -> None:
            task = asyncio.ensure_future(close(self))
            await asyncio.sleep(0)
            gate.set()
            await task

        return closing

    monkeypatch.setattr(Writer, "put", late)
    for kind in (Writer, Verifier):
        monkeypatch.setattr(kind, "close", letting_go(kind.close))
    target = Collected()
    session, _ = _session(manifest, FlakySource(store), target)
    session._on_verified = note
    running = asyncio.create_task(session.run())
    await told.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert good
    assert set(good) <= set(target.chunks)
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith(("ogcast-verify", "ogcast-writer"))
    ]


async def test_what_is_stored_as_it_is_waits_for_the_disk_in_a_part_of_the_frame_slots_only(store: MemoryStore) -> None:
    made, manifest = _image(store)
    disk = threading.Event()

    class Slow(Collected):
        def write(self, batch: Sequence[Verified]) -> None:
            assert disk.wait(30)
            super().write(batch)

    target = Slow()
    session, _ = _session(manifest, FlakySource(store), target)
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(30):
        while session._writing < session._budget.raw_slots:  # noqa: ASYNC110 (nobody is told how far a session is)
            await asyncio.sleep(0.01)
    lent = session._lent
    disk.set()
    await running
    assert lent == session._budget.frame_slots // LENT_SHARE
    assert session._lent == 0
    assert session._frames.free == session._budget.frame_slots, "every slot came back"
    assert session._raw.free == session._budget.raw_slots
    assert b"".join(target.chunks[chunk] for chunk in range(manifest.chunk_count)) == made.content


@pytest.mark.parametrize("chunk_size", [65536, 1 << 20, 4 << 20, 16 << 20])
async def test_memory_of_a_session_is_bounded_at_any_chunk_size(chunk_size: int) -> None:
    budget = budget_for(chunk_size)
    whole = budget.frame_slots * budget.frame_bytes + budget.raw_slots * budget.raw_bytes
    assert whole <= 162 << 20
    assert budget.raw_slots >= 2
    assert budget.frame_slots >= 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), kills=st.lists(st.integers(0, 40), max_size=4))
async def test_whatever_the_extents_and_kill_points_the_target_ends_as_it_must(
    seed: int, kills: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    size = rng.randint(0, 20) * CHUNK + rng.randrange(0, CHUNK, 512)
    path = tmp_path_factory.mktemp("journal") / "j"
    with MemoryStore() as store:
        made = make_image(store, random_extents(rng, size), seed=seed)
        manifest = parse_manifest(made.manifest)
        before = rng.randbytes(size)
        sink = MemorySink(before)
        fetched = 0
        for fails_after in [*kills, None]:
            sink.fails_after, sink.writes = fails_after, 0
            fetched += await _one_run(manifest, store, sink, path)
        assert bytes(sink.content) == made.expected_on(before)
        assert fetched >= manifest.chunk_count


async def _one_run(manifest: Manifest, store: MemoryStore, sink: MemorySink, path: Path) -> int:
    plan = RestorePlan(manifest)
    identity = JournalIdentity(root=manifest.root, target=sink.identity, chunks=manifest.chunk_count)
    noted, _ = read_journal(path, identity)
    have = matching_chunks(sink, plan, [ChunkIndex(chunk) for chunk in noted], workers=2)
    assert have == set(noted)  # what was noted was written
    journal = Journal(path, identity)
    journal.start(have)
    target = PartitionTarget(sink, plan, journal)
    session, figures = _session(manifest, FlakySource(store), target, want=plan.want(have))
    try:
        await session.run()
        target.begin()
    except PartitionError:
        pass
    finally:
        journal.close()
    return figures.chunks_by_source.total() + len(have)
