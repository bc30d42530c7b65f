from __future__ import annotations

from pathlib import Path

from client.journal import Journal, JournalIdentity, read_journal
from client.preflight import Needs, open_target
from client.proto.plan import RestorePlan
from client.targets import FLUSH_BYTES, CacheTarget, PartitionTarget
from client.writer import Verified
from core.ids import ChunkIndex
from images.extents import Extents
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.support.images import make_image

CHUNK = 65536


def test_nothing_is_touched_before_the_first_chunk_and_only_data_is_written(tmp_path: Path) -> None:
    extents = Extents.from_lengths([4096, CHUNK, CHUNK - 4096], [0, 2, 1])
    with MemoryStore() as store:
        made = make_image(store, extents)
    manifest = parse_manifest(made.manifest)
    path = tmp_path / "disk.img"
    before = b"\xee" * extents.size
    path.write_bytes(before)
    sink = open_target(str(path), Needs(size=extents.size, data_bytes=0, sector_size=512, alignment=0)).sink
    identity = JournalIdentity(root=manifest.root, target=sink.identity, chunks=manifest.chunk_count)
    journal = Journal(tmp_path / "j", identity)
    journal.start()
    target = PartitionTarget(sink, RestorePlan(manifest), journal, discard=False)
    assert path.read_bytes() == before
    raw = memoryview(made.content[:CHUNK])
    written: list[int] = []
    target.on_written = written.extend
    target.write([Verified(chunk=ChunkIndex(0), raw=raw, frame=raw, encoding=Encoding.RAW)])
    assert target.begun
    assert target.bytes_written == 4096
    assert written == [0]
    assert path.read_bytes() == made.expected_on(before)
    journal.close()
    assert read_journal(tmp_path / "j", identity)[0] == [0]
    sink.close()


def test_the_cache_is_made_durable_now_and_then() -> None:
    flushes: list[int] = []

    class Counting(MemoryStore):
        def flush(self) -> None:
            flushes.append(1)

    with Counting() as store, MemoryStore() as other:
        manifest = parse_manifest(make_image(other, Extents.all_data(CHUNK)).manifest)
        target = CacheTarget(store, manifest)
        frame = memoryview(bytes(FLUSH_BYTES // 2))
        for _ in range(4):
            target.write([Verified(chunk=ChunkIndex(0), raw=frame, frame=frame, encoding=Encoding.RAW)])
        assert len(flushes) == 2
        assert target.bytes_written == 2 * FLUSH_BYTES
