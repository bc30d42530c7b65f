from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import RepositoryError
from core.ids import Digest
from images.digest import digest_of
from images.store.index import ChunkIndex, DamagedIndexError, Place
from images.stores import Encoding


def digest(number: int) -> Digest:
    return digest_of(number.to_bytes(4, "little"))


def place(number: int, *, pack: int = 1) -> Place:
    return Place(pack, 100 * number, 50, 60, Encoding.ZSTD)


def test_rows_are_found_again_also_by_another_connection(tmp_path: Path) -> None:
    with (
        closing(ChunkIndex.open(tmp_path / "i", create=True)) as index,
        closing(ChunkIndex.open(tmp_path / "i", create=True)) as other,
    ):
        assert other.lookup(digest(1)) is None
        index.add((digest(n), place(n)) for n in range(10))
        assert other.lookup(digest(1)) == place(1)
        assert other.contains([digest(3), digest(99), digest(3)]) == [True, False, True]
        assert other.count() == 10


def test_neither_the_index_nor_its_journal_is_for_every_user_of_the_machine(tmp_path: Path) -> None:
    with closing(ChunkIndex.open(tmp_path / "i", create=True)) as index:
        index.add([(digest(1), place(1))])
        others = {path.name: path.stat().st_mode & 0o007 for path in tmp_path.iterdir()}
    assert others == {"i": 0, "i-wal": 0, "i-shm": 0}


def test_the_first_place_of_a_chunk_stays_until_it_is_moved_or_forgotten(tmp_path: Path) -> None:
    with closing(ChunkIndex.open(tmp_path / "i", create=True)) as index:
        index.add([(digest(1), place(1)), (digest(1), place(2))])
        index.add([(digest(1), place(3))])
        assert index.lookup(digest(1)) == place(1)
        index.move([(7, 700, digest(1))])
        assert index.lookup(digest(1)) == place(7, pack=7)
        assert index.forget([digest(1), digest(2)]) == 1
        assert index.lookup(digest(1)) is None


def test_rows_come_in_the_order_of_the_packs_a_page_at_a_time(tmp_path: Path) -> None:
    with closing(ChunkIndex.open(tmp_path / "i", create=True)) as index:
        index.add((digest(n), place(n, pack=n % 3)) for n in range(9))
        first = index.by_place((-1, -1), 4)
        rest = index.by_place((first[-1][1].pack, first[-1][1].offset), 100)
        assert [(row.pack, row.offset) for _, row in first + rest] == sorted((n % 3, 100 * n) for n in range(9))


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(ChunkIndex.open(tmp_path / "i", create=True)) as index:
        index.add([(digest(1), place(1))])

        def broken() -> object:
            yield digest(2), place(2)
            raise KeyError

        for change in (index.add, index.replace_all):
            with pytest.raises(KeyError):
                change(broken())  # type: ignore[arg-type]
        assert (index.count(), index.lookup(digest(2))) == (1, None)
        index.replace_all([(digest(5), place(5))])
        assert (index.count(), index.lookup(digest(5))) == (1, place(5))


def test_threads_share_one_index(tmp_path: Path) -> None:
    with closing(ChunkIndex.open(tmp_path / "i", create=True)) as index:
        wrong: list[int] = []

        def work(base: int) -> None:
            for n in range(base, base + 30):
                index.add([(digest(n), place(n))])
                if index.lookup(digest(n)) != place(n) or index.contains([digest(n)]) != [True]:
                    wrong.append(n)

        threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, index.count()) == ([], 120)


def test_an_index_of_another_version_is_not_read(tmp_path: Path) -> None:
    ChunkIndex.open(tmp_path / "i", create=True).close()
    with closing(sqlite3.connect(tmp_path / "i")) as raw:
        raw.execute("PRAGMA user_version = 9")
    for opener in (ChunkIndex.open, ChunkIndex.open_read_only):
        with pytest.raises(DamagedIndexError, match="version 9"):
            opener(tmp_path / "i")


def test_a_missing_index_is_not_made_when_only_reading(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError):
        ChunkIndex.open_read_only(tmp_path / "i")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = ChunkIndex.open(tmp_path / "i", create=True)
    index.close()
    index.close()
    with pytest.raises(RepositoryError):
        index.lookup(digest(1))


def test_an_index_that_is_gone_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(DamagedIndexError, match="missing") as caught, closing(ChunkIndex.open(tmp_path / "index")):
        pass
    assert "--rebuild" in str(caught.value.hint)
    assert not (tmp_path / "index").exists()
