"""Chunks that images need, that a pack holds whole, and that the index does not know: found before gc removes them.

An index restored from an older backup, or packs that were away while `repod verify` ran, are enough to make one.
"""

from __future__ import annotations

import os
import sqlite3

from core.errors import ChunkError
from images.codec import decode_into, verify
from images.store.pack import PACK_HEADER_BYTES, RECORD_HEADER_BYTES, Record, read_record, scan_pack
from images.store.paths import RepositoryPaths

__all__ = ["salvage"]

_LOST = "SELECT 1 FROM live WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM chunks WHERE digest = ?1)"
_ANY_LOST = "SELECT 1 FROM live WHERE digest NOT IN (SELECT digest FROM chunks) LIMIT 1"


def salvage(paths: RepositoryPaths, connection: sqlite3.Connection) -> int:
    """Put back the rows of lost chunks; returns how many were found. Their content is proven against the digest.

    `connection` is in a transaction and has the table `live` (digest) of what must stay. Reads only packs with bytes
    that no row names, and nothing if no chunk is lost. Raises ChunkError if such a pack cannot be read: nobody can
    tell what it holds.
    """
    found = 0
    if connection.execute(_ANY_LOST).fetchone() is None:
        return 0
    rows = connection.execute("SELECT pack, sum(stored_length + ?) FROM chunks GROUP BY pack", (RECORD_HEADER_BYTES,))
    named = dict(rows.fetchall())
    for number in paths.pack_numbers():
        if paths.pack(number).stat().st_size <= PACK_HEADER_BYTES + named.get(number, 0):
            continue
        fd = os.open(paths.pack(number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            found += _from_pack(fd, number, connection)
        finally:
            os.close(fd)
    return found


def _from_pack(fd: int, number: int, connection: sqlite3.Connection) -> int:
    found = 0
    for record in scan_pack(fd):
        if not isinstance(record, Record):
            continue
        header = record.header
        if connection.execute(_LOST, (header.digest,)).fetchone() is None or not _is_sound(fd, record):
            continue
        connection.execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
            (header.digest, number, record.offset, header.stored_length, header.raw_length, header.encoding),
        )
        found += 1
    return found


def _is_sound(fd: int, record: Record) -> bool:
    """Whether a whole record decodes to its digest: `repod verify` may have forgotten it because it does not."""
    try:
        header, stored = read_record(fd, record.offset - RECORD_HEADER_BYTES)
        raw = memoryview(bytearray(header.raw_length))
        decode_into(stored, header.encoding, raw)
        verify(raw, header.digest)
    except ChunkError:
        return False
    return True
