"""Publishing an image: a torrent of exactly the exported file, made once."""

from __future__ import annotations

import pytest

from core.errors import ChunkError
from images.exporters.ranged import FileForm
from images.torrent.metainfo import parse_metainfo
from repod.layout import Layout
from repod.torrents import publishing
from repod.torrents.publications import Publications
from tests.images.torrent.test_pieces import plain_hashes
from tests.repod.torrents.conftest import BASE, CONTENT


def test_the_torrent_is_of_the_file_and_leads_here(publish_torrent) -> None:
    published = publish_torrent()
    publication = published.publication
    metainfo = parse_metainfo(published.torrent)
    assert metainfo.hashes == plain_hashes(CONTENT, publication.piece_length)
    assert (metainfo.name, publication.length, publication.pieces) == ("win@1.raw", len(CONTENT), 3)
    assert metainfo.announce == (f"{BASE}/announce/{publication.secret}",)
    assert metainfo.web_seeds == (f"{BASE}/torrents/{publication.secret}/win%401.raw",)
    v1, v2 = metainfo.info_hashes()
    assert publication.announced == (v1, v2[:20], metainfo.misread_hash())


def test_the_same_file_again_keeps_its_hashes_and_secret(
    layout: Layout, publish_torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_torrent()
    monkeypatch.setattr(publishing, "hash_image", None)  # not even called
    second = publish_torrent(bases=("http://one:1", "http://two:2"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.publication == first.publication
    assert [url.partition("/announce")[0] for url in parse_metainfo(second.torrent).announce] == [
        "http://one:1",
        "http://two:2",
    ]
    assert Publications(layout).torrent(first.publication) == second.torrent


def test_another_form_or_version_is_another_torrent(layout: Layout, publish, publish_torrent) -> None:
    made = [publish_torrent(), publish_torrent(form=FileForm.ZST)]
    publish("win", b"new" * 1000)
    made.append(publish_torrent())
    assert len({published.publication.secret for published in made}) == 3
    assert [publication.file_name for publication in Publications(layout).all()] == [
        "win@1.raw",
        "win@1.zst",
        "win@2.raw",
    ]


def test_a_lost_torrent_file_is_made_again(layout: Layout, publish_torrent) -> None:
    first = publish_torrent()
    (layout.torrent_files / f"{first.publication.id}.torrent").write_bytes(b"d")
    assert publish_torrent().torrent == first.torrent


def test_damage_is_not_published(layout: Layout, publish, publish_torrent) -> None:
    publish("win", CONTENT)
    (pack,) = (layout.root / "packs").iterdir()
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(ChunkError):
        publish_torrent()
    assert Publications(layout).all() == []
