"""Partclone export: partclone accepts it and restores the same file system."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.filesystems import find_program
from core.errors import UsageError
from images.builder import build_image
from images.exporters import export_partclone
from images.extents import Extents, Kind
from images.importers import FileSystemUse, ImportOptions, open_source
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from images.partclone.reader import PartcloneReader
from tests.images.exporters.test_raw import image
from tests.images.memory_source import MemorySource
from tests.images.partclone.test_reader import read_all

MIB = 1 << 20


def run(*command: str | Path, ok: tuple[int, ...] = (0,)) -> str:
    path = find_program(str(command[0])) or str(command[0])
    done = subprocess.run([path, *map(str, command[1:])], capture_output=True, text=True, errors="replace")
    assert done.returncode in ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def make_xfs(path: Path, tree: Path) -> None:
    proto = path.with_suffix(".proto")
    files = "".join(f"{one.name} ---644 0 0 {one}\n" for one in tree.iterdir() if one.is_file() and one.stat().st_size)
    proto.write_text(f"/none\n0 0\nd--755 0 0\n{files}$\n")
    run("mkfs.xfs", "-q", "-p", proto, sparse(path, 320 * MIB))


MAKERS: dict[str, Callable[[Path, Path], object]] = {
    "ext2": lambda path, tree: run("mke2fs", "-q", "-F", "-t", "ext2", "-d", tree, sparse(path, 64 * MIB)),
    "ext3": lambda path, tree: run("mke2fs", "-q", "-F", "-t", "ext3", "-d", tree, sparse(path, 64 * MIB)),
    "ext4": lambda path, tree: run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, sparse(path, 64 * MIB)),
    "ntfs": lambda path, tree: [
        run("mkntfs", "-F", "-f", "-q", sparse(path, 64 * MIB)),
        run("ntfscp", "-f", "-q", path, tree / "noise.bin", "noise.bin"),
    ],
    "fat": lambda path, tree: run("mkfs.vfat", "-F", "32", sparse(path, 64 * MIB)),
    "exfat": lambda path, tree: run("mkfs.exfat", sparse(path, 64 * MIB)),
    "xfs": make_xfs,
    "btrfs": lambda path, tree: run("mkfs.btrfs", "-q", "--rootdir", tree, sparse(path, 160 * MIB)),
}
CHECKS = {
    "ext2": ("e2fsck", "-fn"),
    "ext3": ("e2fsck", "-fn"),
    "ext4": ("e2fsck", "-fn"),
    "ntfs": ("ntfsfix", "-n"),
    "fat": ("fsck.fat", "-n"),
    "exfat": ("fsck.exfat", "-n"),
    "xfs": ("xfs_repair", "-n", "-f"),
    "btrfs": ("btrfs", "check"),
}
TOOLS = {
    "ext2": "mke2fs",
    "ext3": "mke2fs",
    "ext4": "mke2fs",
    "ntfs": "ntfscp",
    "fat": "mkfs.vfat",
    "exfat": "mkfs.exfat",
    "xfs": "mkfs.xfs",
    "btrfs": "mkfs.btrfs",
}


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as made:
        yield made


def same_where_used(manifest: Manifest, one: Path, other: Path) -> None:
    with one.open("rb") as left, other.open("rb") as right:
        for extent in manifest.extents:
            if extent.kind is not Kind.SKIP:
                left.seek(extent.start)
                right.seek(extent.start)
                assert left.read(extent.length) == right.read(extent.length)


@pytest.mark.tools("partclone.restore", "partclone.chkimg", "blkid")
@pytest.mark.parametrize("how", ["file", "image"])
@pytest.mark.parametrize(
    "fs", [pytest.param(fs, marks=pytest.mark.tools(f"partclone.{fs}", TOOLS[fs], CHECKS[fs][0])) for fs in MAKERS]
)
def test_partclone_restores_what_was_imported(
    fs: str, how: str, sample_tree: Path, store: MemoryStore, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    MAKERS[fs](original, sample_tree)
    if how == "file":
        source_path, options = original, ImportOptions(fs=FileSystemUse.ALWAYS)
    else:
        source_path, options = tmp_path / "image.img", ImportOptions()
        run(f"partclone.{fs}", "-c", "-F", "-q", "-f", "0", "-L", "/dev/null", "-s", original, "-o", source_path)
    with open_source(str(source_path), options=options) as source:
        manifest = parse_manifest(build_image(source, store, name="x"))
    assert manifest.data_bytes < manifest.size // 2, "the map of the file system was used"
    exported, back = tmp_path / "exported.img", sparse(tmp_path / "restored", original.stat().st_size)
    with original.open("rb") as left, back.open("r+b") as right:
        # An image made by partclone lacks the backup boot sector after an NTFS: on a real disk it is still there.
        left.seek(-512, 2)
        right.seek(-512, 2)
        right.write(left.read(512))
    export_partclone(manifest, store, str(exported))
    run("partclone.chkimg", "-q", "-f", "0", "-L", "/dev/null", "-s", exported)
    run("partclone.restore", "-q", "-f", "0", "-C", "-L", "/dev/null", "-s", exported, "-O", back)
    same_where_used(manifest, original, back)
    run(*CHECKS[fs], back)


def test_blocks_that_hold_zero_are_used_blocks(store: MemoryStore, tmp_path: Path) -> None:
    manifest, content, _ = image(store)
    target = tmp_path / "image"
    export_partclone(manifest, store, str(target))
    read = read_all(target.read_bytes())
    for extent in manifest.extents:
        if extent.kind is Kind.SKIP:
            assert set(read[extent.start + 4096 : extent.stop - 4096]) == {ord(".")}
        else:
            assert read[extent.start : extent.stop] == content[extent.start : extent.stop]


def test_a_size_that_is_no_whole_number_of_blocks_keeps_its_last_sector(store: MemoryStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 18
    source = MemorySource(content, Extents.all_data(len(content)))
    source.block_size = 4096
    manifest = parse_manifest(build_image(source, store, name="x"))
    target = tmp_path / "image"
    export_partclone(manifest, store, str(target))
    reader = PartcloneReader(io.BytesIO(target.read_bytes()))
    assert (reader.header.block_size, reader.header.device_size) == (512, len(content))
    reader.close()
    assert read_all(target.read_bytes()) == content


def test_what_partclone_cannot_hold_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    manifest = parse_manifest(build_image(MemorySource(b"abc", Extents.all_data(3)), store, name="x"))
    with pytest.raises(UsageError, match="sectors"):
        export_partclone(manifest, store, str(tmp_path / "image"))
