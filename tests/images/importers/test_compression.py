"""Compressed streams: every kind, several members, every truncation, garbage, bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from core.errors import ImageFileError
from images.importers.compression import unwrapped
from images.importers.detect import Compression
from images.importers.input import Input

CONTENT = random.Random(5).randbytes(200_000) + bytes(300_000)


def lzop(data: bytes) -> bytes:
    return subprocess.run(["lzop", "-c"], input=data, capture_output=True, check=True).stdout


KINDS = [
    pytest.param(Compression.NONE, bytes, id="none"),
    pytest.param(Compression.GZIP, gzip.compress, id="gzip"),
    pytest.param(Compression.ZSTD, zstandard.compress, id="zstd"),
    pytest.param(Compression.BZIP2, bz2.compress, id="bzip2"),
    pytest.param(Compression.XZ, lzma.compress, id="xz"),
    pytest.param(Compression.LZOP, lzop, id="lzop", marks=pytest.mark.tools("lzop")),
]
REAL_KINDS = KINDS[1:]


def unwrap(data: bytes, compression: Compression) -> bytes:
    source = Input(io.BytesIO(data))
    reader = unwrapped(source, compression)
    try:
        found = bytearray()
        while piece := reader.read(77_777):
            found += piece
        return bytes(found)
    finally:
        reader.close()


@pytest.mark.parametrize(("compression", "compress"), KINDS)
def test_a_stream_is_unwrapped(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    assert unwrap(compress(CONTENT), compression) == CONTENT


@pytest.mark.parametrize(("compression", "compress"), KINDS)
def test_a_file_is_unwrapped(compression: Compression, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(compress(CONTENT))
    source = Input(str(path))
    assert source.peek(10) == path.read_bytes()[:10]
    reader = unwrapped(source, compression)
    assert reader.peek(5) == CONTENT[:5]
    assert reader.read(len(CONTENT) + 1) == CONTENT
    reader.close()
    reader.close()
    source.close()


@pytest.mark.parametrize(("compression", "compress"), REAL_KINDS[:4])
def test_several_members_are_one_stream(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    members = [CONTENT[:1000], b"", CONTENT[1000:], b"x"]
    assert unwrap(b"".join(compress(member) for member in members), compression) == b"".join(members)


@pytest.mark.parametrize(("compression", "compress"), REAL_KINDS)
def test_every_truncation_is_found(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    whole = compress(CONTENT)
    for length in {len(whole) - 1, len(whole) - 9, len(whole) // 2, 100_000, 20}:
        with pytest.raises(ImageFileError):
            unwrap(whole[:length], compression)


@pytest.mark.parametrize(("compression", "compress"), REAL_KINDS)
def test_garbage_after_the_end_is_refused(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ImageFileError):
        unwrap(compress(CONTENT) + b"garbage after the end of the stream", compression)


@pytest.mark.parametrize(("compression", "compress"), [REAL_KINDS[0], REAL_KINDS[2], REAL_KINDS[4]])
def test_flipped_bits_are_found(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    whole = bytearray(compress(CONTENT))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(ImageFileError):
        unwrap(bytes(whole), compression)


def test_padding_with_zeros_is_allowed_where_the_format_has_it() -> None:
    assert unwrap(gzip.compress(b"x") + bytes(70_000), Compression.GZIP) == b"x"
    assert unwrap(lzma.compress(b"x") + bytes(4), Compression.XZ) == b"x"


@pytest.mark.parametrize(("compression", "compress"), REAL_KINDS[:4])
def test_a_bomb_takes_little_memory(compression: Compression, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(256 << 20))
    reader = unwrapped(Input(io.BytesIO(bomb)), compression)
    tracemalloc.start()
    try:
        assert not any(reader.read(10))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
        reader.close()


def test_a_stream_that_needs_much_memory_is_not_called_damaged() -> None:
    compressor = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=28))
    wide = compressor.compressobj()
    with pytest.raises(ImageFileError, match="zstd stream needs more memory") as caught:
        unwrap(wide.compress(CONTENT) + wide.flush(), Compression.ZSTD)
    assert "zstd -dc --long=31" in str(caught.value.hint)
    # the size of the dictionary stands in the header, so that no test has to make one of 512 MiB
    xz = bytearray(lzma.compress(CONTENT, check=lzma.CHECK_NONE))
    at = xz.index(b"\x21\x01", 12)  # the filter LZMA2, with one byte of properties
    header = xz[12 : 12 + (xz[12] + 1) * 4 - 4]
    header[at - 12 + 2] = 34  # 512 MiB
    xz[12 : 12 + len(header) + 4] = header + zlib.crc32(header).to_bytes(4, "little")
    with pytest.raises(ImageFileError, match="xz stream needs more memory"):
        unwrap(bytes(xz), Compression.XZ)


@pytest.mark.tools("lzop")
def test_lzop_is_ended_with_its_reader() -> None:
    reader = unwrapped(Input(io.BytesIO(lzop(random.Random(1).randbytes(4 << 20)))), Compression.LZOP)
    assert len(reader.read(10)) == 10
    reader.close()  # the fixture that looks for children left behind is the check


@pytest.mark.tools("lzop")
def test_what_lzop_says_is_repeated_where_it_makes_sense() -> None:
    whole = lzop(random.Random(1).randbytes(4 << 20))
    with pytest.raises(ImageFileError, match=r"truncated lzop stream$"):
        unwrap(whole[: len(whole) // 2], Compression.LZOP)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    with pytest.raises(ImageFileError, match="Checksum error"):
        unwrap(bytes(flipped), Compression.LZOP)
