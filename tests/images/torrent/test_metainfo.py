"""The .torrent file: what libtorrent reads in it is what was meant, and only what we made is read back."""

from __future__ import annotations

import dataclasses
import random

import bencode2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImageFileError
from images.torrent.metainfo import TORRENT_BYTES_MAX, Metainfo, parse_metainfo
from images.torrent.pieces import BLOCK_BYTES, PieceHashes, hash_parts

PIECE = 2 * BLOCK_BYTES
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def made(length: int = 5 * PIECE + 7, **changes: object) -> Metainfo:
    metainfo = Metainfo(
        name="room@1.zst",
        hashes=hash_parts([random.Random(length).randbytes(length)], PIECE),
        announce=("http://10.0.0.5:8727/announce/secret",),
        web_seeds=("http://10.0.0.5:8727/torrents/secret/room%401.zst",),
        created=1_700_000_000,
        created_by="test 1",
        comment="room@1",
    )
    return dataclasses.replace(metainfo, **changes)


@pytest.mark.parametrize("length", [1, PIECE, PIECE + 1, 5 * PIECE + 7])
def test_libtorrent_reads_a_hybrid_torrent(length: int) -> None:
    libtorrent = pytest.importorskip("libtorrent")
    metainfo = made(length)
    v1, v2 = metainfo.info_hashes()
    added = libtorrent.load_torrent_buffer(metainfo.encode())
    info = added.ti
    hashes = info.info_hashes()
    assert hashes.has_v1()
    assert hashes.has_v2()
    assert (hashes.v1.to_bytes(), hashes.v2.to_bytes()) == (v1, v2)
    assert (info.name(), info.total_size(), info.piece_length()) == ("room@1.zst", length, PIECE)
    assert info.priv()
    assert added.trackers == list(metainfo.announce)
    assert added.url_seeds == list(metainfo.web_seeds)


def test_addresses_and_dates_do_not_change_the_identity() -> None:
    assert (
        made(announce=("http://a/announce/x", "http://b/announce/x"), web_seeds=(), created=0).info_hashes()
        == made().info_hashes()
    )
    assert made(name="other").info_hashes() != made().info_hashes()


@given(
    length=st.integers(1, 4 * PIECE),
    name=TEXT,
    announce=st.lists(TEXT, min_size=1, max_size=3),
    created=st.integers(0, 2**40),
)
def test_a_torrent_survives_the_way(length: int, name: str, announce: list[str], created: int) -> None:
    metainfo = made(length, name=name, announce=tuple(announce), created=created)
    assert parse_metainfo(metainfo.encode()) == metainfo


def test_more_or_less_than_we_write_is_refused() -> None:
    plain = bencode2.bdecode(made().encode())
    assert parse_metainfo(bencode2.bencode(plain)) == made()
    for key in (b"announce", b"info", b"piece layers", b"url-list", b"creation date", b"comment"):
        with pytest.raises(ImageFileError):
            parse_metainfo(bencode2.bencode({name: value for name, value in plain.items() if name != key}))
    for changed in ({**plain, b"extra": 1}, {**plain, b"info": {**plain[b"info"], b"pieces": b"x" * 20}}):
        with pytest.raises(ImageFileError):
            parse_metainfo(bencode2.bencode(changed))


@pytest.mark.parametrize("length", [0, -1, 2**62])
def test_absurd_lengths_are_refused(length: int) -> None:
    hashes = PieceHashes(length=length, piece_length=PIECE, sha1=b"", layer=b"", root=bytes(32))
    with pytest.raises(ImageFileError):
        parse_metainfo(made(hashes=hashes).encode())


def test_a_file_too_large_is_not_parsed() -> None:
    with pytest.raises(ImageFileError, match="at most"):
        parse_metainfo(bytes(TORRENT_BYTES_MAX + 1))
