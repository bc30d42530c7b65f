"""Torrent files and announces: whatever the bytes, a value or a documented error."""

from __future__ import annotations

import contextlib
import random

from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImageFileError, ProtocolError
from images.torrent.metainfo import Metainfo, parse_metainfo
from images.torrent.pieces import hash_parts
from repod.proto.announce import NUMWANT_MAX, parse_announce

GOOD = Metainfo(
    name="x",
    hashes=hash_parts([random.Random(1).randbytes(100_000)], 32_768),
    announce=("http://h/announce/s", "http://g/announce/s"),
    web_seeds=("http://h/torrents/s/x",),
    created=1,
    created_by="test",
).encode()


@given(st.binary(max_size=300))
def test_bytes_are_a_torrent_or_an_image_file_error(data: bytes) -> None:
    with contextlib.suppress(ImageFileError):
        parse_metainfo(data)


@given(at=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_a_changed_torrent_is_the_one_it_says_or_an_error(at: int, value: int, cut: int) -> None:
    for data in (GOOD[:at] + bytes([value]) + GOOD[at + 1 :], GOOD[:cut], GOOD[:cut] + GOOD[at:]):
        with contextlib.suppress(ImageFileError):
            assert parse_metainfo(data).encode() == data


ANNOUNCE = (
    b"info_hash=%01" + b"h" * 19 + b"&peer_id=" + b"p" * 20 + b"&port=6881&left=5&numwant=9&event=started&compact=1"
)


@given(at=st.integers(0, len(ANNOUNCE) - 1), value=st.binary(max_size=4), cut=st.integers(0, 9))
def test_a_changed_announce_is_within_its_bounds_or_a_protocol_error(at: int, value: bytes, cut: int) -> None:
    try:
        announce = parse_announce(ANNOUNCE[:at] + value + ANNOUNCE[at + cut :])
    except ProtocolError:
        return
    assert len(announce.info_hash) == len(announce.peer_id) == 20
    assert 1 <= announce.port <= 65_535
    assert 0 <= announce.numwant <= NUMWANT_MAX
    assert 0 <= announce.left < 2**63
