"""The list of torrents: changed by commands, seen at once by a daemon, and a promise that removal respects."""

from __future__ import annotations

import stat

import pytest

from core.errors import LockedError, NotFoundError, RepositoryError, UsageError
from core.ids import ImageRef
from images.exporters.ranged import FileForm
from images.repository import Repository
from repod.layout import Layout
from repod.torrents import publications as module
from repod.torrents.publications import Publications


def test_there_is_nothing_before_the_first(layout: Layout) -> None:
    listed = Publications(layout)
    assert listed.all() == []
    with pytest.raises(NotFoundError):
        listed.of_secret("x")
    with pytest.raises(NotFoundError):
        listed.withdraw("x")
    assert not layout.torrents.exists()


def test_what_another_process_published_and_withdrew_is_seen_at_the_next_look(layout: Layout, publish_torrent) -> None:
    watching = Publications(layout)
    assert watching.all() == []
    published = publish_torrent()
    assert watching.all() == [published.publication]
    assert watching.of_secret(published.publication.secret) == published.publication
    assert watching.torrent(published.publication) == published.torrent
    assert Publications(layout).withdraw(published.publication.id) == [published.publication]
    assert watching.all() == []
    with pytest.raises(NotFoundError):
        watching.of_secret(published.publication.secret)
    with pytest.raises(NotFoundError):
        watching.torrent(published.publication)


def test_secrets_are_kept_from_other_users(layout: Layout, publish_torrent) -> None:
    published = publish_torrent()
    assert len(published.publication.secret) == 43
    for path, mode in ((layout.torrents, 0o600), (layout.torrent_files, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    (file,) = layout.torrent_files.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_image_version_is_withdrawn_in_all_its_forms(layout: Layout, publish_torrent) -> None:
    publish_torrent("win", FileForm.RAW)
    publish_torrent("win", FileForm.ZST)
    publish_torrent("linux")
    assert len(Publications(layout).withdraw("win@1")) == 2
    assert [publication.image for publication in Publications(layout).all()] == ["linux@1"]
    assert len(list(layout.torrent_files.iterdir())) == 1


def test_files_that_no_torrent_is_listed_for_go(layout: Layout, publish_torrent) -> None:
    layout.torrent_files.mkdir()
    (layout.torrent_files / "0badc0de.torrent").write_bytes(b"from a machine that stopped in the middle")
    published = publish_torrent()
    assert [file.stem for file in layout.torrent_files.iterdir()] == [published.publication.id]


def test_a_published_version_is_not_removed_and_others_are(layout: Layout, publish_torrent) -> None:
    publish_torrent()
    listed = Publications(layout)
    with pytest.raises(LockedError, match="win@1"), listed.unpublished([ImageRef("win", 2), ImageRef("win", 1)]):
        raise AssertionError("nothing may be removed")
    with listed.unpublished([ImageRef("win", 2)]):
        pass


def test_an_image_that_went_meanwhile_is_not_published(layout: Layout, publish_torrent) -> None:
    published = publish_torrent()
    listed = Publications(layout)
    listed.withdraw("win@1")
    with Repository.open(layout.root) as repository:
        repository.remove(ImageRef("win"))
        with pytest.raises(NotFoundError):
            listed.publish(published.publication, published.torrent, repository)
    assert listed.all() == []


def test_the_list_is_bounded(layout: Layout, publish_torrent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUBLISHED_MAX", 1)
    publish_torrent()
    publish_torrent()
    with pytest.raises(UsageError):
        publish_torrent("linux")
    assert len(Publications(layout).all()) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"torrents": [1]}', b"\xff" * 10, b" " * ((1 << 20) + 1)])
def test_a_damaged_list_is_an_error_that_names_it(layout: Layout, damage: bytes) -> None:
    layout.torrents.write_bytes(damage)
    with pytest.raises(RepositoryError, match=r"torrents\.json"):
        Publications(layout).all()
