"""The map of partclone -D."""

from __future__ import annotations

import pytest

from core.errors import FileSystemError
from images.extents import Extents, ExtentsBuilder, Kind
from images.importers.domain_map import DomainMap

MAP = b"""# Domain logfile created by unset_name v0.3.23
# Source: /dev/loop0
0x00003000     ?
#      pos        size  status
0x00000000  0x00001000  +
0x00001000  0x00001000  ?
0x00002000  0x00001000  +
"""


def parse(data: bytes, *, step: int = 10**6) -> Extents:
    builder = ExtentsBuilder()
    domain = DomainMap(builder)
    for at in range(0, len(data), step):
        domain.feed(data[at : at + step])
    domain.finish()
    assert domain.done == domain.total
    return builder.finish()


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_map_is_read_however_it_arrives(step: int) -> None:
    extents = parse(MAP, step=step)
    assert [(one.start, one.length, one.kind) for one in extents] == [
        (0, 4096, Kind.DATA),
        (4096, 4096, Kind.SKIP),
        (8192, 4096, Kind.DATA),
    ]


def test_a_map_is_complete_when_it_covers_what_it_promised() -> None:
    domain = DomainMap(ExtentsBuilder())
    domain.feed(MAP[:-30])
    assert not domain.complete
    domain.feed(MAP[-30:])
    assert domain.complete
    assert domain.used == 8192


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAP[: len(MAP) // 2],
        MAP.replace(b"0x00001000  0x00001000  ?", b"0x00001800  0x00000800  ?"),
        MAP.replace(b"0x00001000  0x00001000  ?", b"0x00000800  0x00001800  ?"),
        MAP.replace(b"0x00002000  0x00001000", b"0x00002000  0x00002000"),
        MAP.replace(b"0x00002000  0x00001000", b"0x00002000  0x00000000"),
        MAP.replace(b"0x00002000  0x00001000", b"0x00002000  -0x0001000"),
        MAP.replace(b"  ?\n0x00002000", b"  -\n0x00002000"),
        MAP.replace(b"0x00003000", b"0xfffffffffffffffff"),
        MAP.replace(b"0x00003000", b"0x0000_3000"),
        MAP.replace(b"0x00003000", b"banana"),
        MAP + b"0x00003000  0x00001000  +\n",
        MAP + b"x" * 20_000,
        b"0x10 ?\n" + b"0x0 0x10 " + b"+" * 1000,
    ],
)
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(FileSystemError):
        parse(data)
