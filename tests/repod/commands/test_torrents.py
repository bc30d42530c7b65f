"""repod torrents: what is published, and taking it back."""

from __future__ import annotations

import pytest


@pytest.fixture
def published(repod, layout, publish, tmp_path) -> None:
    publish("win", b"x" * 300_000)
    assert repod("export", layout.root, "win", tmp_path / "t", "--torrent").code == 0


def test_the_list_names_file_and_hash_and_no_secret(repod, layout, published) -> None:
    from repod.torrents.publications import Publications

    (publication,) = Publications(layout).all()
    text = repod("torrents", layout.root).out
    assert "win@1.zst" in text
    assert publication.info_hash_v1 in text
    outcome = repod("torrents", layout.root, "--json")
    assert outcome.json["torrents"][0]["id"] == publication.id
    assert publication.secret not in text + outcome.out


def test_withdrawing_by_id_or_image(repod, layout, published, tmp_path) -> None:
    (row,) = repod("torrents", layout.root, "--json").json["torrents"]
    assert repod("torrents", layout.root, "--withdraw", row["id"], "--json").json == {"withdrawn": [row["id"]]}
    assert repod("torrents", layout.root).out == "no torrents\n"
    assert repod("torrents", layout.root, "--withdraw", row["id"]).code == 2
    repod("export", layout.root, "win", tmp_path / "t", "--torrent")
    assert "withdrew" in repod("torrents", layout.root, "--withdraw", "win@1").out


def test_a_published_image_stays_until_then(repod, layout, published) -> None:
    outcome = repod("rm", layout.root, "win")
    assert outcome.code == 4
    assert "repod torrents" in outcome.err
    assert len(repod("ls", layout.root, "--json").json["images"]) == 1
    repod("torrents", layout.root, "--withdraw", "win@1")
    assert repod("rm", layout.root, "win").code == 0


def test_a_folder_that_is_no_repository(repod, tmp_path) -> None:
    assert repod("torrents", tmp_path / "nothing").code == 2
