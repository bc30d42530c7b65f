"""Images of OpenGnsys: partclone streams under every compression."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest

from core.errors import ImageFileError
from images.extents import Extent, Kind
from images.importers import open_source
from tests.images.partclone_images import v1_image, v2_image

BLOCKS: list[bytes | None] = [b"a" * 512, None, b"b" * 512, b"c" * 512]


def read(data: bytes) -> bytes:
    with open_source(io.BytesIO(data)) as source:
        assert source.extents is not None
        content = bytearray(b"." * source.extents.size)
        for extent in source.extents:
            if extent.kind is Kind.DATA:
                source.read_data(extent, memoryview(content)[extent.start : extent.stop])
        source.finish()
        return bytes(content)


def test_an_image_tells_what_it_is() -> None:
    with open_source(io.BytesIO(v2_image(BLOCKS, tail=512))) as source:
        assert (source.kind, source.size, source.block_size, source.fs.type) == ("partclone", 5 * 512, 512, "extfs")
        assert source.ordered
        assert source.notices == ()


def test_missing_checksums_are_said() -> None:
    with open_source(io.BytesIO(v2_image(BLOCKS, mode=0))) as source:
        assert "without checksums" in source.notices[0]
    with open_source(io.BytesIO(v1_image(BLOCKS))) as source:
        assert "version 1" in source.notices[0]
        assert source.fs.type == "ntfs"


@pytest.mark.tools("lzop", "gzip", "bzip2", "xz", "zstd")
@pytest.mark.parametrize("tool", ["cat", "lzop", "gzip", "bzip2", "xz", "zstd"])
def test_an_image_is_read_under_every_compression(tool: str, tmp_path: Path) -> None:
    image = v2_image(BLOCKS)
    command = [tool] if tool == "cat" else [tool, "-c"]
    packed = subprocess.run(command, input=image, capture_output=True, check=True).stdout
    assert read(packed) == read(image)
    for length in (len(packed) - 1, len(packed) // 2):
        with pytest.raises(ImageFileError):
            read(packed[:length])
    with pytest.raises(ImageFileError):
        read(packed + b"what does not belong here")


@pytest.mark.tools("partclone.ext4", "mke2fs", "zstd")
@pytest.mark.parametrize("options", [[], ["-a0"], ["-k7"], ["-K"], ["-z10485760"]])
def test_an_image_by_partclone_holds_what_the_partition_does(
    options: list[str], ext4_image: Path, tmp_path: Path
) -> None:
    made = tmp_path / "image"
    subprocess.run(
        ["/usr/sbin/partclone.ext4", "-c", "-F", "-q", "-L", "/dev/null", *options, "-s", str(ext4_image), "-o", made],
        check=True,
        capture_output=True,
    )
    with open_source(str(made)) as source, ext4_image.open("rb") as original:
        assert source.extents is not None
        assert source.size == ext4_image.stat().st_size
        for extent in source.extents:
            if extent.kind is Kind.DATA:
                for start in range(extent.start, extent.stop, 1 << 20):
                    view = memoryview(bytearray(min(1 << 20, extent.stop - start)))
                    source.read_data(Extent(start, len(view), Kind.DATA), view)
                    original.seek(start)
                    assert original.read(len(view)) == view
        source.finish()
