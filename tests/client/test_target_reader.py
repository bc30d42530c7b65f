"""Chunks read back from a target: proven each time, compressed anew, and given up when they changed."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from client import target_reader
from client.target_reader import TargetReader, is_solid_state
from core.errors import ChunkError, RepositoryTroubleError
from core.ids import ChunkIndex
from images.codec import decode_into
from images.extents import Kind
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.support.images import MadeImage, make_image, random_extents
from transports.p2p.ring import Ring
from transports.p2p.shelf import Shelf

SIZE = (3 << 20) + 12288 + 512


@pytest.fixture
def image() -> MadeImage:
    with MemoryStore() as store:
        return make_image(store, random_extents(random.Random(5), SIZE))


@pytest.fixture
def target(image: MadeImage, tmp_path: Path) -> Path:
    """What a restore leaves on a disk that held other things: SKIP is as it was."""
    path = tmp_path / "target.img"
    path.write_bytes(image.expected_on(random.Random(6).randbytes(SIZE)))
    return path


def _decoded(reader: TargetReader, manifest: Manifest, chunk: int) -> bytes:
    place = reader.locate(manifest.digest(ChunkIndex(chunk)))
    raw = bytearray(place.raw_length)
    decode_into(os.pread(place.fd, place.length, place.offset), place.encoding, memoryview(raw))
    return bytes(raw)


def test_every_chunk_can_be_given_though_free_space_holds_other_things(image: MadeImage, target: Path) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest)
    for chunk in range(manifest.chunk_count):
        start, stop = manifest.span(chunk)
        assert _decoded(reader, manifest, chunk) == image.content[start:stop]
    assert reader.contains(manifest.digests()) == [True] * manifest.chunk_count
    assert reader.changed == 0
    reader.close()


def test_while_it_is_restored_what_was_written_can_be_given_and_nothing_else(image: MadeImage, target: Path) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest, whole=False)
    gone: list[int] = []
    shelf = Shelf(manifest, cache=reader, ring=Ring(manifest, limit_bytes=0, free_bytes=lambda: 1, segment_bytes=1))
    shelf.on_gone = gone.extend
    shelf.look_up()
    assert shelf.count == 0
    with pytest.raises(ChunkError, match="is not on"):
        reader.locate(manifest.digest(ChunkIndex(1)))
    reader.add([ChunkIndex(0)])
    shelf.add(ChunkIndex(0), b"x", Encoding.RAW)
    shelf.add(ChunkIndex(1), b"y", Encoding.RAW)  # memory lets go of the first, which the target has
    shelf.add(ChunkIndex(2), b"z", Encoding.RAW)  # … and of the second, which it has not
    assert gone == [1]
    start, stop = manifest.span(ChunkIndex(0))
    place = shelf.locate(manifest.digest(ChunkIndex(0)))
    raw = bytearray(place.raw_length)
    decode_into(os.pread(place.fd, place.length, place.offset), place.encoding, memoryview(raw))
    assert raw == image.content[start:stop]
    reader.add([ChunkIndex(1)])
    assert shelf.recheck() == [1]
    shelf.close()
    reader.close()


def test_a_chunk_that_changed_is_never_given(image: MadeImage, target: Path) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest)
    where = next(extent for extent in image.extents if extent.kind is Kind.DATA).start
    with target.open("r+b") as file:
        file.seek(where)
        byte = file.read(1)
        file.seek(where)
        file.write(bytes([byte[0] ^ 1]))
    chunk = next(n for n in range(manifest.chunk_count) if manifest.span(n)[0] <= where < manifest.span(n)[1])
    digest = manifest.digest(ChunkIndex(chunk))
    for _ in range(2):
        with pytest.raises(ChunkError):
            reader.locate(digest)
    assert reader.contains([digest]) == [False]
    assert reader.changed == 1
    reader.close()


def test_a_target_that_is_gone_or_cut_short_is_an_error_of_the_chunk(image: MadeImage, target: Path) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest)
    os.truncate(target, 1000)
    with pytest.raises(ChunkError):
        reader.locate(manifest.digest(ChunkIndex(0)))
    target.unlink()
    with pytest.raises(ChunkError):
        reader.locate(manifest.digest(ChunkIndex(1)))
    reader.close()


def test_frames_are_kept_within_bounds_and_a_duplicate_outlives_them(
    image: MadeImage, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = parse_manifest(image.manifest)
    monkeypatch.setattr(target_reader, "FRAMES_MAX_BYTES", 1)
    reader = TargetReader(str(target), manifest)
    first = reader.locate(manifest.digest(ChunkIndex(0)))
    duplicate = os.dup(first.fd)
    before = os.pread(duplicate, first.length, 0)
    descriptors = len(os.listdir("/proc/self/fd"))
    for chunk in range(1, manifest.chunk_count):
        reader.locate(manifest.digest(ChunkIndex(chunk)))
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert os.pread(duplicate, first.length, 0) == before
    os.close(duplicate)
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors - 2


def test_without_room_for_a_frame_no_descriptor_is_lost_and_the_chunk_is_not_given_up(
    image: MadeImage, target: Path
) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest)
    digest = manifest.digest(ChunkIndex(0))
    descriptors = len(os.listdir("/proc/self/fd"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # of memory files, too
    try:
        with pytest.raises(RepositoryTroubleError, match="memory file"):
            reader.locate(digest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    reader.locate(digest)
    assert reader.changed == 0
    reader.close()


def test_a_frame_is_made_once_while_it_is_kept(image: MadeImage, target: Path) -> None:
    manifest = parse_manifest(image.manifest)
    reader = TargetReader(str(target), manifest)
    digest = manifest.digest(ChunkIndex(0))
    assert reader.locate(digest) is reader.locate(digest)
    reader.close()


@pytest.mark.parametrize(("rotational", "solid"), [("0", True), ("1", False), (None, False)])
@pytest.mark.parametrize("partition", [False, True])
def test_the_kernel_says_whether_a_disk_spins(
    tmp_path: Path, rotational: str | None, solid: bool, partition: bool
) -> None:
    file = tmp_path / "target.img"
    file.write_bytes(b"")
    number = file.stat().st_dev
    sysfs = tmp_path / "sys"
    disk = sysfs / "devices/pci0/sda"
    (disk / "queue").mkdir(parents=True)
    if rotational is not None:
        (disk / "queue/rotational").write_text(f"{rotational}\n")
    part = disk / "sda1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (sysfs / "dev/block").mkdir(parents=True)
    (sysfs / f"dev/block/{os.major(number)}:{os.minor(number)}").symlink_to(part if partition else disk)
    assert is_solid_state(str(file), sysfs=sysfs) is solid


def test_what_the_kernel_does_not_know_is_no_ssd(tmp_path: Path) -> None:
    assert not is_solid_state(str(tmp_path / "nothing"))
    assert not is_solid_state(str(tmp_path), sysfs=tmp_path)


@pytest.mark.root
def test_a_real_device_is_looked_up_in_the_kernel(loop: Callable[..., Path]) -> None:
    device = loop(1 << 20)
    told = Path(f"/sys/block/{device.name}/queue/rotational").read_text().strip()
    assert is_solid_state(str(device)) is (told == "0")
