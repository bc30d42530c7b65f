"""Names in a repository directory, and what is said when one is missing."""

from __future__ import annotations

import pytest

from core.errors import LockedError, NotFoundError, RepositoryError
from images.store.disk import AS_OWNER
from repod.layout import Layout


def test_a_repository_passes_and_has_its_key(layout: Layout) -> None:
    layout.check()
    assert len(layout.load_signing_key().public) == 32


def test_what_is_missing_is_named_with_a_hint(layout: Layout, tmp_path) -> None:
    with pytest.raises(NotFoundError, match="no repository"):
        Layout(tmp_path / "none").check()
    with pytest.raises(RepositoryError, match="is not a repository"):
        Layout(tmp_path).check()
    with pytest.raises(RepositoryError, match="File name too long"):
        Layout(tmp_path / ("x" * 256)).check()
    with pytest.raises(NotFoundError):
        Layout(tmp_path / "none").load_signing_key()
    layout.signing_key.unlink()
    with pytest.raises(RepositoryError, match=r"signing\.key is missing"):
        layout.load_signing_key()
    with pytest.raises(RepositoryError):
        layout.read(layout.root)


def test_images_are_signed_by_the_key_that_clients_trust(layout: Layout) -> None:
    own = layout.load_signing_key().public
    assert (layout.trusted_key(), layout.signs) == (own, True)
    assert layout.load_trusted_signing_key().public == own


def test_where_clients_trust_another_key_nothing_is_signed(relayed: Layout) -> None:
    assert (relayed.trusted_key(), relayed.signs) == (bytes(range(32)), False)
    with pytest.raises(RepositoryError, match="names another key"):
        relayed.load_trusted_signing_key()


def test_without_settings_of_clients_the_own_key_is_the_trusted_one(layout: Layout) -> None:
    own = layout.load_signing_key().public
    text = layout.client.read_text()
    for rubbish in ("", "signing_key = 7", 'signing_key = "AAAA"', 'signing_key = "ä"', "=", text[: len(text) // 2]):
        layout.client.write_text(rubbish)
        assert layout.trusted_key() == own, rubbish
    layout.client.unlink()
    assert layout.signs
    layout.signing_key.unlink()
    assert layout.trusted_key() is None


def test_one_daemon_serves_a_repository(tmp_path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "format").write_text("x")
    with layout.only_daemon(), pytest.raises(LockedError, match="another repod"), layout.only_daemon():
        pass
    with layout.only_daemon():
        pass


def test_a_folder_that_may_not_be_entered_is_not_called_something_else(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:  # tests run as root, who may enter every folder
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(layout.root), "stat", refuse)
    with pytest.raises(RepositoryError, match="cannot read") as told:
        layout.check()
    assert told.value.hint == AS_OWNER
