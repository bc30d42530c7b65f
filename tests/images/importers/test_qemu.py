"""Real virtual disks through the real programs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import ImageFileError
from images.extents import Extent, Kind
from images.importers import open_source

MIB = 1 << 20
ROOT = Path(__file__).parents[3]
BLOCKS = {"qcow2": "cluster_size=64k", "vmdk": "subformat=monolithicSparse", "vhdx": "block_size=8M"}
pytestmark = pytest.mark.tools("qemu-img", "qemu-nbd")


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk, with 'odd' name.raw"
    rng = random.Random(9)
    content = rng.randbytes(3 * MIB) + bytes(5 * MIB) + rng.randbytes(MIB) + bytes(7 * MIB)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qcow2", []),
        ("qcow2", ["-c"]),
        ("qcow2", ["-o", "compat=0.10"]),
        ("vmdk", []),
        ("vmdk", ["-o", "subformat=streamOptimized"]),
        ("vhdx", []),
    ],
)
def test_a_virtual_disk_holds_what_the_disk_does(kind: str, options: list[str], raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "disk, made of 'odd' letters"
    qemu_img("convert", "-f", "raw", "-O", kind, *options, raw, made)
    content = bytearray(raw.stat().st_size)
    with open_source(str(made)) as source:
        assert (source.kind, source.size) == (kind, len(content))
        assert source.extents is not None
        for extent in source.extents:
            assert extent.kind is not Kind.SKIP
            if extent.kind is Kind.DATA:
                source.read_data(extent, memoryview(content)[extent.start : extent.stop])
        source.finish()
        source.close()
    assert bytes(content) == raw.read_bytes()


def test_a_virtual_disk_on_standard_input_is_a_file_like_any_other(raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "disk.qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, made)
    program = (
        "from images.importers import open_source\n"
        "with open_source('-') as source:\n"
        "    print(source.kind, source.size, source.extents.data_bytes)\n"
    )
    with made.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", program], stdin=file, capture_output=True, text=True, cwd=ROOT, check=False
        )
    assert (done.stdout, done.stderr) == (f"qcow2 {raw.stat().st_size} {4 * MIB}\n", "")


def test_a_backing_file_is_refused(raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "child.qcow2"
    qemu_img("create", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "-u", made, "1M")
    with pytest.raises(ImageFileError, match="backing file"):
        open_source(str(made))


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    made = tmp_path / "outside.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on", made, "1M")
    with pytest.raises(ImageFileError, match="another file"):
        open_source(str(made))


def test_a_flat_vmdk_is_refused(raw: Path, tmp_path: Path) -> None:
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicFlat", raw, tmp_path / "flat.vmdk")
    with pytest.raises(ImageFileError, match="other files"):
        open_source(str(tmp_path / "flat.vmdk"))


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx"])
@pytest.mark.parametrize("length", [600, 70_000])
def test_a_truncated_disk_is_an_error(kind: str, length: int, raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "disk"
    qemu_img("convert", "-f", "raw", "-O", kind, raw, made)
    made.write_bytes(made.read_bytes()[:length])
    with pytest.raises(ImageFileError):
        read_all(made)


def test_the_words_of_a_long_complaint_are_not_cut(raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "disk"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, made)
    os.truncate(made, MIB)  # a line for each of the 48 clusters behind it, longer together than what is kept
    with pytest.raises(ImageFileError, match=r"offset 0x\w+ size 0x\w+$"):
        read_all(made)


def read_all(path: Path) -> None:
    with open_source(str(path)) as source:
        assert source.extents is not None
        for extent in source.extents:
            if extent.kind is Kind.DATA:
                source.read_data(extent, memoryview(bytearray(extent.length)))


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx"])
@pytest.mark.parametrize("missing", [1, 512, 4096])
def test_a_disk_that_lacks_its_last_bytes_is_not_filled_with_zeros(kind: str, missing: int, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(random.Random(3).randbytes(8 * MIB))  # the largest block of the three, so that data is what ends
    made = tmp_path / "disk"
    qemu_img("convert", "-f", "raw", "-O", kind, "-o", BLOCKS[kind], raw, made)
    os.truncate(made, made.stat().st_size - missing)
    with pytest.raises(ImageFileError):
        read_all(made)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx"])
def test_a_disk_that_ends_inside_a_cluster_is_whole(kind: str, tmp_path: Path) -> None:
    made = tmp_path / "disk"
    qemu_img("create", "-f", kind, made, "3000320")
    subprocess.run(["qemu-io", "-f", kind, "-c", "write -P 5 2999808 512", made], check=True, capture_output=True)
    with open_source(str(made)) as source:
        end = bytearray(512)
        source.read_data(Extent(2999808, 512, Kind.DATA), memoryview(end))
        source.close()
    assert bytes(end) == b"\5" * 512
