"""Virtual disks that name other files are refused by their headers alone."""

from __future__ import annotations

import struct

import pytest

from core.errors import ImageFileError
from images.importers.detect import Content
from images.importers.qemu_header import HEADER_BYTES, check_self_contained


def qcow2(*, version: int = 3, backing: int = 0, features: int = 0) -> bytes:
    head = struct.pack(">4sIQI", b"QFI\xfb", version, backing, 11 if backing else 0)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(100)


def vmdk(description: bytes, *, capacity: int = 100, offset: int = 1, sectors: int = 2) -> bytes:
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, capacity, 128, offset, sectors)
    return head.ljust(512, b"\0") + description.ljust(1024, b"\0")


GOOD = b'# Disk DescriptorFile\nparentCID=ffffffff\ncreateType="monolithicSparse"\nRW 100 SPARSE "a.vmdk"\n'


def test_plain_images_pass() -> None:
    check_self_contained(Content.QCOW2, qcow2())
    check_self_contained(Content.QCOW2, qcow2(version=2))
    check_self_contained(Content.VMDK, vmdk(GOOD))
    check_self_contained(Content.VHDX, b"vhdxfile")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (qcow2(backing=200), "backing file"),
        (qcow2(features=4), "another file"),
        (qcow2(version=1), "version 1"),
        (qcow2()[:32] + struct.pack(">I", 2) + qcow2()[36:], "encrypted"),
        (qcow2()[:60], "truncated"),
        (qcow2()[:80], "truncated"),
    ],
)
def test_qcow2_that_names_others_is_refused(head: bytes, words: str) -> None:
    with pytest.raises(ImageFileError, match=words):
        check_self_contained(Content.QCOW2, head)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (vmdk(GOOD)[:40], "truncated"),
        (vmdk(GOOD, capacity=0), "only a description"),
        (b"# Disk DescriptorFile\n" + bytes(600), "only a description"),
        (b"COWD" + bytes(600), "only a description"),
        (vmdk(b'RW 100 FLAT "/etc/shadow" 0\n'), "other files"),
        (vmdk(GOOD + b'RW 100 SPARSE "b.vmdk"\n'), "other files"),
        (vmdk(GOOD.replace(b"monolithicSparse", b"monolithicFlat")), "of type"),
        (vmdk(GOOD.replace(b"ffffffff", b"12345678")), "parent"),
        (vmdk(GOOD + b'parentFileNameHint="/etc/shadow"\n'), "parent"),
        (vmdk(GOOD, offset=HEADER_BYTES // 512), "far from"),
        (vmdk(GOOD, sectors=1000), "truncated"),
    ],
)
def test_vmdk_that_names_others_is_refused(head: bytes, words: str) -> None:
    with pytest.raises(ImageFileError, match=words):
        check_self_contained(Content.VMDK, head)


def test_vhdx_with_a_parent_is_refused() -> None:
    with pytest.raises(ImageFileError, match="parent"):
        check_self_contained(Content.VHDX, b"vhdxfile" + "parent_linkage".encode("utf-16-le"))


def test_other_formats_are_misuse() -> None:
    with pytest.raises(ValueError, match="not a format"):
        check_self_contained(Content.RAW, b"")
