"""From a real partition through a real repository to files other tools read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ImageFileError, LocalError
from core.ids import ImageRef
from images.build_progress import BuildProgress
from images.builder import build_image
from images.exporters import export_partclone, export_raw
from images.extents import Kind
from images.importers import FileSystemUse, ImportOptions, open_source
from images.repository import Repository

MIB = 1 << 20
SMALL = 256 * 1024


def import_into(repository: Repository, source: Path, **options: object) -> BuildProgress:
    shown: list[BuildProgress] = []
    wanted = ImportOptions(fs=FileSystemUse.ALWAYS)
    with open_source(str(source), options=wanted) as opened, repository.writer(purpose="test") as writer:
        manifest = build_image(
            opened,
            writer,
            name="room",
            chunk_size=SMALL,
            progress=shown.append,
            **options,  # type: ignore[arg-type]
        )
        repository.publish(manifest, sign=None, writer=writer)
    return shown[-1]


@pytest.mark.root
@pytest.mark.tools("partclone.ext4", "partclone.restore", "mke2fs", "e2fsck", "blkid", "lzop")
def test_a_device_its_old_image_and_its_export_are_one(
    ext4_image: Path, loop: Callable[..., Path], tmp_path: Path
) -> None:
    device = loop(ext4_image, read_only=True)
    old = tmp_path / "old.img"
    subprocess.run(
        f"/usr/sbin/partclone.ext4 -c -q -F -L /dev/null -s {device} -o - 2>/dev/null | lzop > {old}",
        shell=True,
        check=True,
    )
    with Repository.create(tmp_path / "repository") as repository:
        first = import_into(repository, device)
        second = import_into(repository, old)
        assert first.chunks_new > 0
        assert second.chunks_new == 0, "the old image holds nothing the device does not"
        exported, target = tmp_path / "export.img", loop(64 * MIB)
        with repository.pin(ImageRef.parse("room@1")) as pinned:
            manifest = pinned.manifest
            export_partclone(manifest, repository, str(exported))
            export_raw(manifest, repository, str(tmp_path / "raw.img"))
    command = ["/usr/sbin/partclone.restore", "-q", "-L", "/dev/null", "-s", str(exported), "-O", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    for restored in (target, tmp_path / "raw.img"):
        subprocess.run(["/usr/sbin/e2fsck", "-fn", str(restored)], check=True, capture_output=True)
        with ext4_image.open("rb") as left, restored.open("rb") as right:
            for extent in manifest.extents:
                if extent.kind is not Kind.SKIP:
                    left.seek(extent.start)
                    right.seek(extent.start)
                    assert left.read(extent.length) == right.read(extent.length)


@pytest.mark.tools("partclone.ext4", "mke2fs", "blkid")
def test_an_import_that_does_not_end_well_shows_nothing(ext4_image: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.img"
    command = [
        "/usr/sbin/partclone.ext4",
        "-c",
        "-q",
        "-F",
        "-L",
        "/dev/null",
        "-s",
        str(ext4_image),
        "-o",
        str(damaged),
    ]
    subprocess.run(command, check=True, capture_output=True)
    content = bytearray(damaged.read_bytes())
    content[-3000] ^= 1
    damaged.write_bytes(content)
    with Repository.create(tmp_path / "repository") as repository:
        with pytest.raises(ImageFileError, match="does not fit"):
            import_into_as_it_is(repository, damaged)
        with pytest.raises(LocalError, match="cancelled"):
            import_into(repository, ext4_image, cancelled=lambda: True)
        assert repository.images() == []
        import_into(repository, ext4_image)
        assert [str(entry.ref) for entry in repository.images()] == ["room@1"]


def import_into_as_it_is(repository: Repository, source: Path) -> None:
    with open_source(str(source)) as opened, repository.writer(purpose="test") as writer:
        repository.publish(build_image(opened, writer, name="room"), sign=None, writer=writer)
