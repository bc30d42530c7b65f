"""Building images: content, order, dedup, zeros, bounds, cancellation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from core.errors import ImageFileError, LocalError, RepositoryFullError, UsageError
from core.ids import Digest
from images import builder
from images.build_progress import BuildProgress
from images.builder import BUFFERS_BYTES_MAX, buffers_for, build_image, fitting_chunk_size
from images.defaults import CHUNK_SIZE_BY_IMAGE
from images.exporters.feed import slots_of
from images.extents import Extents, ExtentsBuilder, Kind
from images.importers.source import ImageSource
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.images.memory_source import MemorySource

CHUNK = 64 * 1024


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as made:
        yield made


def build(source: ImageSource, store: MemoryStore, **options: object) -> Manifest:
    return parse_manifest(build_image(source, store, name="x", chunk_size=CHUNK, **options))  # type: ignore[arg-type]


def restored(manifest: Manifest, store: MemoryStore) -> bytes:
    out = bytearray()
    with slots_of(manifest, store) as slots:
        for slot in slots:
            out += slot.content if slot.content is not None else bytes(slot.length)
    return bytes(out)


def extents_of(*runs: tuple[int, Kind]) -> Extents:
    made = ExtentsBuilder()
    for length, kind in runs:
        made.add(length, kind)
    return made.finish()


class CountingStore(MemoryStore):
    """Counts what was asked and appended."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[Digest] = []

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        self.appended.append(digest)
        super().append(digest, stored, encoding=encoding, raw_length=raw_length)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * CHUNK + 512])
def test_an_image_holds_its_source(ordered: bool, size: int, store: MemoryStore) -> None:
    content = random.Random(1).randbytes(size)
    source = MemorySource(content, Extents.all_data(size), ordered=ordered)
    manifest = build(source, store)
    assert restored(manifest, store) == content
    assert (manifest.size, manifest.chunk_size, manifest.name) == (size, CHUNK, "x")
    assert source.finished


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 7])
def test_a_stream_without_size_is_taken_to_its_end(size: int, store: MemoryStore) -> None:
    content = random.Random(1).randbytes(size)
    manifest = build(MemorySource(content, ordered=True), store)
    assert restored(manifest, store) == content
    assert manifest.size == size


@given(
    st.lists(st.tuples(st.integers(1, 3 * CHUNK), st.sampled_from(list(Kind))), max_size=10),
    st.booleans(),
    st.integers(1, 3),
)
def test_only_data_is_taken_from_the_source(runs: list[tuple[int, Kind]], ordered: bool, workers: int) -> None:
    extents = extents_of(*runs)
    content = random.Random(2).randbytes(extents.size)
    expected = bytearray(content)
    for extent in extents:
        if extent.kind is not Kind.DATA:
            expected[extent.start : extent.stop] = bytes(extent.length)
    with MemoryStore() as store:
        manifest = build(MemorySource(content, extents, ordered=ordered), store, workers=workers)
        assert restored(manifest, store) == expected
        assert [e for e in manifest.extents if e.kind is Kind.SKIP] == [e for e in extents if e.kind is Kind.SKIP]


def test_slots_of_zeros_become_zero_extents_and_skip_stays_skip(store: MemoryStore) -> None:
    content = bytes(CHUNK) + b"a" * CHUNK + bytes(3 * CHUNK) + b"b" * 10 + bytes(10)
    extents = extents_of((3 * CHUNK, Kind.DATA), (100, Kind.SKIP), (len(content) - 3 * CHUNK - 100, Kind.DATA))
    manifest = build(MemorySource(content, extents), store)
    assert [(one.length, one.kind) for one in manifest.extents] == [
        (CHUNK, Kind.ZERO),
        (CHUNK, Kind.DATA),
        (CHUNK, Kind.ZERO),
        (100, Kind.SKIP),
        (2 * CHUNK - 100, Kind.ZERO),
        (20, Kind.DATA),
    ]
    assert manifest.chunk_count == 2
    assert restored(manifest, store) == content


def test_an_image_of_zeros_stores_nothing() -> None:
    with CountingStore() as store:
        manifest = build(MemorySource(bytes(5 * CHUNK), Extents.all_data(5 * CHUNK)), store)
        assert store.appended == []
    assert manifest.chunk_count == 0
    assert [one.kind for one in manifest.extents] == [Kind.ZERO]


def test_zeros_beyond_the_bound_stay_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "ZERO_RUNS_MAX", 1)
    content = (bytes(CHUNK) + b"a" * CHUNK) * 4
    with CountingStore() as store:
        manifest = build(MemorySource(content, Extents.all_data(len(content))), store)
        assert restored(manifest, store) == content
        assert len(store.appended) == 2
    assert manifest.extents.bytes_of(Kind.ZERO) == CHUNK


def test_a_chunk_is_stored_once_and_a_second_version_stores_nothing() -> None:
    content = (b"a" * CHUNK + b"b" * CHUNK) * 10
    with CountingStore() as store:
        shown: list[BuildProgress] = []
        build(MemorySource(content, Extents.all_data(len(content))), store)
        assert len(store.appended) == 2
        build(MemorySource(content, Extents.all_data(len(content))), store, progress=shown.append)
        assert len(store.appended) == 2
    assert (shown[-1].chunks_new, shown[-1].chunks_known) == (0, 20)
    assert shown[-1].bytes_done == shown[-1].bytes_total == shown[-1].bytes_known == len(content)


def test_a_second_version_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> None:
    content = random.Random(4).randbytes(4 * CHUNK)
    build(MemorySource(content, Extents.all_data(len(content))), store)

    def no_encode(raw: object, level: int) -> None:
        raise AssertionError("a known chunk was compressed")

    monkeypatch.setattr(builder, "encode", no_encode)
    build(MemorySource(content, Extents.all_data(len(content))), store)


def test_reads_in_any_order_happen_in_the_pool(store: MemoryStore) -> None:
    content = random.Random(4).randbytes(8 * CHUNK)
    source = MemorySource(content, Extents.all_data(len(content)))
    build(source, store, workers=2)
    assert all(name.startswith("build") for name in source.threads)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_failing_source_ends_the_build(ordered: bool, store: MemoryStore) -> None:
    content = bytes(10 * CHUNK)
    source = MemorySource(content, Extents.all_data(len(content)), ordered=ordered, fails_at=7 * CHUNK)
    with pytest.raises(ImageFileError, match="cannot be read"):
        build(source, store)
    assert not source.finished


def test_a_source_shorter_than_it_said_ends_the_build(store: MemoryStore) -> None:
    with pytest.raises(ImageFileError, match="ended at byte"):
        build(MemorySource(b"abc", Extents.all_data(2 * CHUNK)), store)


def test_a_full_store_ends_the_build() -> None:
    class FullStore(MemoryStore):
        def append(self, *_: object, **__: object) -> None:
            raise RepositoryFullError("full")

    content = random.Random(4).randbytes(30 * CHUNK)
    with FullStore() as store, pytest.raises(RepositoryFullError):
        build(MemorySource(content, Extents.all_data(len(content))), store)


def test_a_cancelled_build_gives_no_manifest(store: MemoryStore) -> None:
    content = random.Random(4).randbytes(30 * CHUNK)
    calls = iter([False] * 5 + [True] * 1000)
    with pytest.raises(LocalError, match="cancelled"):
        build(MemorySource(content, Extents.all_data(len(content))), store, cancelled=lambda: next(calls))


def test_the_store_is_asked_from_one_thread_only() -> None:
    import threading

    class OneThread(MemoryStore):
        threads: set[str]

        def contains(self, digests: Sequence[Digest]) -> list[bool]:
            assert threading.current_thread() is threading.main_thread()
            return super().contains(digests)

    content = random.Random(4).randbytes(30 * CHUNK)
    with OneThread() as store:
        build(MemorySource(content, Extents.all_data(len(content))), store, workers=4)


def test_chunks_grow_with_the_image() -> None:
    assert fitting_chunk_size(2**41, 4 << 20) == 4 << 20
    assert fitting_chunk_size(2**41 + 1, 4 << 20) == 8 << 20
    assert fitting_chunk_size(2**50, 4 << 20) == 16 << 20
    assert fitting_chunk_size(None, 1 << 20) == 1 << 20
    for wrong in (-1, 1000, 3 << 20, 32 << 20):
        with pytest.raises(UsageError, match="chunk size"):
            fitting_chunk_size(1, wrong)


def test_chunks_follow_the_size_of_the_image_unless_somebody_says_otherwise() -> None:
    assert fitting_chunk_size(256 << 20, CHUNK_SIZE_BY_IMAGE) == 1 << 20
    assert fitting_chunk_size(256 << 20, 4 << 20) == 4 << 20
    assert fitting_chunk_size(None, CHUNK_SIZE_BY_IMAGE) == 4 << 20
    assert fitting_chunk_size(2**41 + 1, CHUNK_SIZE_BY_IMAGE) == 8 << 20


def test_memory_has_a_bound() -> None:
    assert buffers_for(4 << 20, 2) * (4 << 20) <= 32 << 20
    assert buffers_for(4 << 20, 128) * (4 << 20) <= BUFFERS_BYTES_MAX
    assert buffers_for(16 << 20, 128) * (16 << 20) <= BUFFERS_BYTES_MAX
