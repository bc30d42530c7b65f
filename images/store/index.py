"""Index of a store: digest → place, in SQLite. It holds nothing that the packs do not hold too."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from core.errors import OgcastError, RepositoryError
from core.ids import Digest
from images.store.disk import FILE_MODE, disk_errors, full_error
from images.stores import Encoding

__all__ = ["ChunkIndex", "DamagedIndexError", "Place"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE chunks (
    digest BLOB PRIMARY KEY,
    pack INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    stored_length INTEGER NOT NULL,
    raw_length INTEGER NOT NULL,
    encoding INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX places ON chunks (pack, offset);
"""
_BUSY_TIMEOUT_S = 30.0
"""Longer than any transaction of ours: a writer's commit is milliseconds, gc's one pass over the rows."""
_SELECT = "SELECT pack, offset, stored_length, raw_length, encoding FROM chunks WHERE digest = ?"
_INSERT = "INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?, ?, ?)"
_SIDE_FILES = ("", "-wal", "-shm")


class DamagedIndexError(RepositoryError):
    """The index file is no index, of another version, or damaged: only a rebuild helps."""


class Place(NamedTuple):
    """Where a chunk lies in the packs."""

    pack: int
    offset: int
    """Byte offset of the stored bytes."""
    stored_length: int
    raw_length: int
    encoding: Encoding


class ChunkIndex:
    """One connection to the index, guarded by a lock; several of them, in several processes, may be open at once.

    Raises RepositoryError when the file is no index or damaged, RepositoryFullError when it cannot grow.
    """

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._guard = threading.RLock()
        self._inode = _inode(path)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open for reading and writing. DamagedIndexError if there is none, unless it is to be made.

        Only a new repository and a rebuild make one: to gc, an empty index beside full packs says that all is garbage.
        """
        with _sqlite_errors(path):
            if create:
                _touch(path)
            connection = _connect(path, "rw")
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # Rows must be on disk before a manifest that needs them is: commits are rare enough to sync each.
                connection.execute("PRAGMA synchronous = FULL")
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open on media that may refuse writes. Raises RepositoryError if rows would be missed that way."""
        with _sqlite_errors(path):
            try:
                connection = _connect(path, "ro")
                try:
                    _check_version(connection)
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.OperationalError:
                # SQLite cannot make its side files there. Without a journal to replay, the file alone is the truth.
                journal = path.with_name(path.name + "-wal")
                if journal.exists() and journal.stat().st_size:
                    raise RepositoryError(
                        "the index has a journal that cannot be replayed on read-only media",
                        hint="open the repository once where it can be written",
                    ) from None
                connection = _connect(path, "ro&immutable=1")
                try:
                    _check_version(connection)
                except BaseException:
                    connection.close()
                    raise
        return cls(path, connection)

    @classmethod
    def remove(cls, path: Path) -> None:
        """Delete a damaged index so that `open` makes an empty one. The caller holds the exclusive lock."""
        for suffix in _SIDE_FILES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def lookup(self, digest: Digest) -> Place | None:
        """Where a chunk lies, or None."""
        row = self._row(digest)
        if row is None and self._replaced():
            row = self._row(digest)
        return None if row is None else Place(row[0], row[1], row[2], row[3], Encoding(row[4]))

    def places(self, digests: Sequence[Digest]) -> list[Place | None]:
        """Where each of `digests` lies, in order; None for those that are not known."""
        with self.reading() as connection:
            rows = [connection.execute(_SELECT, (digest,)).fetchone() for digest in digests]
        return [row and Place(row[0], row[1], row[2], row[3], Encoding(row[4])) for row in rows]

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` are known, in order."""
        return [place is not None for place in self.places(digests)]

    def add(self, rows: Iterable[tuple[Digest, Place]]) -> None:
        """Commit rows durably; a digest already known keeps its place."""
        with self.writing() as connection:
            connection.executemany(_INSERT, ((digest, *place) for digest, place in rows))

    def forget(self, digests: Iterable[Digest]) -> int:
        """Drop rows; returns how many there were."""
        with self.writing() as connection:
            return connection.executemany("DELETE FROM chunks WHERE digest = ?", ((d,) for d in digests)).rowcount

    def forget_at(self, places: Iterable[tuple[Digest, int, int]]) -> int:
        """Drop the rows of chunks that lie at that pack and offset; returns how many there were."""
        with self.writing() as connection:
            sql = "DELETE FROM chunks WHERE digest = ? AND pack = ? AND offset = ?"
            return connection.executemany(sql, places).rowcount

    def count(self) -> int:
        """Number of chunks."""
        with self.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])

    def totals(self) -> tuple[int, int]:
        """Number of chunks, and of their uncompressed bytes."""
        with self.reading() as connection:
            row = connection.execute("SELECT count(*), coalesce(sum(raw_length), 0) FROM chunks").fetchone()
        return row[0], row[1]

    def by_place(self, after: tuple[int, int], limit: int) -> list[tuple[Digest, Place]]:
        """Up to `limit` rows in the order of the packs, those after (pack, offset) `after`."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT digest, pack, offset, stored_length, raw_length, encoding FROM chunks"
                " WHERE (pack, offset) > (?, ?) ORDER BY pack, offset LIMIT ?",
                (*after, limit),
            ).fetchall()
        return [(Digest(row[0]), Place(row[1], row[2], row[3], row[4], Encoding(row[5]))) for row in rows]

    def move(self, moves: Iterable[tuple[int, int, Digest]]) -> None:
        """Commit new places (pack, offset) of chunks."""
        with self.writing() as connection:
            connection.executemany("UPDATE chunks SET pack = ?, offset = ? WHERE digest = ?", moves)

    def replace_all(self, rows: Iterable[tuple[Digest, Place]]) -> None:
        """Commit `rows` in place of all there were; of two for one digest the first counts."""
        with self.writing() as connection:
            connection.execute("DELETE FROM chunks")
            connection.executemany(_INSERT, ((digest, *place) for digest, place in rows))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the rows; keep it short, it holds the connection."""
        with self._guard, _sqlite_errors(self._path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed durably at the end, undone on an error."""
        with self._guard, _sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself undoes it when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; repeatable."""
        with self._guard:
            self._connection.close()

    def _row(self, digest: Digest) -> tuple[int, int, int, int, int] | None:
        with self._guard:
            try:
                row: tuple[int, int, int, int, int] | None = self._connection.execute(_SELECT, (digest,)).fetchone()
            except sqlite3.Error as error:
                raise _translated(error, self._path) from error
            return row

    def _replaced(self) -> bool:
        """Whether a rebuild put another file in place of the one open here; if so, that one is open now."""
        if self._path is None or self._inode == _inode(self._path):
            return False
        with self._guard:
            fresh = type(self).open(self._path)
            self._connection.close()
            self._connection, self._inode = fresh._connection, fresh._inode
        return True


def _touch(path: Path) -> None:
    """SQLite makes a file that everybody may read; its side files have the mode of the one that is there."""
    with disk_errors("making the index"):
        path.touch(mode=FILE_MODE)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=16
    )


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    _check_version(connection)


def _check_version(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != _SCHEMA_VERSION:
        raise DamagedIndexError(f"index of version {version}; this ogcast knows {_SCHEMA_VERSION}", hint=_REBUILD)


_REBUILD = "rebuild it from the packs with: repod verify --rebuild"


@contextlib.contextmanager
def _sqlite_errors(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.Error, path: Path | None) -> OgcastError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path)):
        return full_error("writing the index")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return RepositoryError("the index is busy", hint="another process holds it: try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):  # the last: no such table
        return DamagedIndexError(f"the index is damaged: {error}", hint=_REBUILD)
    if code == sqlite3.SQLITE_CANTOPEN and path is not None and not path.exists():
        return DamagedIndexError("the index is missing", hint=_REBUILD)
    return RepositoryError(f"the index cannot be used: {error}")


def _is_full(path: Path | None) -> bool:
    if path is None:
        return False
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False


def _inode(path: Path | None) -> int:
    try:
        return path.stat().st_ino if path else 0
    except OSError:
        return 0
