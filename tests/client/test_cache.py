from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from client.cache import check_room, find_cache, open_cache
from core.errors import CacheDamagedError, CacheFullError, NoCacheError
from images.repository import Repository
from images.store.disk import full_error
from repod.initialise import initialise


def test_the_flag_counts_before_the_settings(tmp_path: Path) -> None:
    assert find_cache(tmp_path / "a", tmp_path / "b") == tmp_path / "a"
    assert find_cache(None, tmp_path / "b") == tmp_path / "b"


def test_a_cache_below_a_folder_that_is_not_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoCacheError) as caught:
        find_cache(tmp_path / "not" / "mounted", None)
    assert caught.value.exit_code == 15


def test_a_cache_is_made_only_where_asked(tmp_path: Path) -> None:
    with pytest.raises(NoCacheError):
        open_cache(tmp_path / "cache", create=False)
    open_cache(tmp_path / "cache", create=True).close()
    open_cache(tmp_path / "cache", create=False).close()


def test_something_else_in_its_place_is_a_damaged_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "format").write_text("ogcast-repository 99\n")
    for path in ("file", "odd"):
        with pytest.raises(CacheDamagedError) as caught:
            open_cache(tmp_path / path, create=True)
        assert caught.value.exit_code == 21


def test_a_repository_is_no_cache_but_for_a_relay_that_fills_it(tmp_path: Path) -> None:
    initialise(tmp_path / "images", hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    for flag, configured in ((tmp_path / "images", None), (None, tmp_path / "images")):
        with pytest.raises(CacheDamagedError, match="is a repository, not a CACHE"):
            find_cache(flag, configured)
        assert find_cache(flag, configured, served=True) == tmp_path / "images"


def test_a_name_too_long_for_any_folder_is_no_fault_of_this_program(tmp_path: Path) -> None:
    chosen = find_cache(tmp_path / ("x" * 256), None)
    with pytest.raises(CacheDamagedError, match="File name too long"):
        open_cache(chosen, create=True)


def test_only_what_is_missing_must_fit(tmp_path: Path) -> None:
    check_room(tmp_path, stored_bytes=1 << 60, held_bytes=1 << 60, missing=0, image="x@1")
    check_room(tmp_path, stored_bytes=1000, held_bytes=0, missing=1, image="x@1")
    with pytest.raises(CacheFullError) as caught:
        check_room(tmp_path, stored_bytes=1 << 60, held_bytes=1 << 58, missing=1, image="x@1")
    assert caught.value.exit_code == 16
    assert "x@1 needs 786432.0 TiB more" in str(caught.value)


def test_a_cache_that_there_is_no_room_to_make_is_full_and_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Repository:
        raise full_error(f"making a repository in {path}")

    monkeypatch.setattr(Repository, "create", full)
    with pytest.raises(CacheFullError) as caught:
        open_cache(tmp_path / "cache", create=True)
    assert str(tmp_path / "cache") in str(caught.value)
    assert "ogcast cache gc" in (caught.value.hint or "")
