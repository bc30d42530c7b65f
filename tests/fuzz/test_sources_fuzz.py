"""Detection, maps and headers of sources: any bytes give a value or a documented error."""

from __future__ import annotations

import contextlib
import io

import hypothesis.strategies as st
from hypothesis import given

from core.errors import FileSystemError, ImageFileError
from images.extents import Extent, ExtentsBuilder, Kind
from images.importers import open_source
from images.importers.detect import Content, compression_of, content_of, foreign_reason
from images.importers.domain_map import DomainMap
from images.importers.fs_detect import parse_blkid
from images.importers.mounts import parse_mountinfo
from images.importers.qemu_header import check_self_contained

MAGICS = [
    b"",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"BZh91AY&SY",
    b"\xfd7zXZ\x00",
    b"\x5e\x2a\x4d\x18",
    b"partclone-image",
    b"QFI\xfb",
]


@given(st.sampled_from(MAGICS), st.binary(max_size=500))
def test_any_stream_is_read_or_refused(magic: bytes, data: bytes) -> None:
    with contextlib.suppress(ImageFileError), open_source(io.BytesIO(magic + data)) as source:
        if source.size is None:
            view = memoryview(bytearray(1 << 16))
            while source.read_data(Extent(0, len(view), Kind.DATA), view) == len(view):
                pass
        source.finish()


@given(st.binary(max_size=600))
def test_detection_always_answers(data: bytes) -> None:
    compression_of(data)
    content_of(data)
    foreign_reason(data)


LINES = st.sampled_from(
    [b"# comment", b"0x3000 ?", b"0x0 0x1000 +", b"0x1000 0x1000 ?", b"0x2000 0x1000 +", b"", b"0x1000 0x2000 +"]
)


@given(st.lists(LINES | st.binary(max_size=40), max_size=12), st.integers(1, 50))
def test_any_map_is_read_or_refused_however_it_arrives(lines: list[bytes], step: int) -> None:
    data = b"\n".join(lines)

    def parse(step: int) -> object:
        builder = ExtentsBuilder()
        domain = DomainMap(builder)
        try:
            for at in range(0, len(data), step):
                domain.feed(data[at : at + step])
            domain.finish()
        except FileSystemError as error:
            return type(error)
        assert builder.size == domain.total
        return list(builder.finish())

    assert parse(step) == parse(10**6)


@given(st.sampled_from([Content.QCOW2, Content.VMDK, Content.VHDX]), st.binary(max_size=2000))
def test_any_header_of_a_virtual_disk_is_taken_or_refused(content: Content, data: bytes) -> None:
    magic = {Content.QCOW2: b"QFI\xfb\0\0\0\3", Content.VMDK: b"KDMV", Content.VHDX: b"vhdxfile"}[content]
    with contextlib.suppress(ImageFileError):
        check_self_contained(content, magic + data)


@given(st.binary(max_size=300))
def test_output_of_blkid_is_always_understood(data: bytes) -> None:
    parse_blkid(b"TYPE=" + data)


@given(st.text(max_size=300))
def test_mountinfo_is_always_understood(text: str) -> None:
    parse_mountinfo(text)
