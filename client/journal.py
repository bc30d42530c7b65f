"""Journal: which chunks an unfinished restore has written, so that the next run fetches only the rest.

The file is a header (root digest and target identity) and one record per chunk, appended as chunks are written:

    header  magic 8 · root 32 · BLAKE3 of the target's identity 32 · chunk count u32 · 0 u32 · XXH3-64 of bytes 0…79
    record  chunk u32 · low half of XXH3-64 over (header checksum, chunk) u32

Records are hints: what they name is read back from the target and compared with its digest before it counts. So
nothing here needs fsync, and a torn, damaged or foreign journal costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import blake3
import msgspec
import numpy as np
import xxhash

__all__ = ["Journal", "JournalIdentity", "journal_path", "read_journal"]

_MAGIC = b"OGJRNL1\n"
_HEAD = struct.Struct("<8s32s32sII")
_SUM = struct.Struct("<Q")
_HEAD_BYTES = _HEAD.size + _SUM.size
_RECORD = struct.Struct("<II")
_RECORDS_AT_ONCE = 4096
_DTYPE = np.dtype([("chunk", "<u4"), ("check", "<u4")])


class JournalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal belongs to; one of anything else is not used."""

    root: bytes
    """Root digest of the image, 32 bytes."""
    target: str
    """`Sink.identity`."""
    chunks: int
    """Chunks of the image."""


def journal_path(state_dir: Path, target: str) -> Path:
    """Where the journal for `target` (a path) lives: one per target, so that a new image replaces an old journal."""
    return state_dir / f"{blake3.blake3(os.fsencode(os.path.realpath(target))).hexdigest(16)}.ogj"


def read_journal(path: Path, identity: JournalIdentity) -> tuple[list[int], str | None]:
    """The chunks `path` names, in order, and a notice for the operator if there is a journal that cannot be used."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD_BYTES + identity.chunks * _RECORD.size * 2)
    except FileNotFoundError:
        return [], None
    except OSError as error:
        return [], f"the journal {path} cannot be read ({error.strerror}); starting from the beginning"
    head = _header(identity)
    if len(data) < _HEAD_BYTES or data[:8] != _MAGIC or data[_HEAD.size : _HEAD_BYTES] != _check(data[: _HEAD.size]):
        return [], f"the journal {path} is damaged; starting from the beginning"
    if data[:_HEAD_BYTES] != head:
        return [], "the journal is of another image or target; starting from the beginning"
    whole = (len(data) - _HEAD_BYTES) // _RECORD.size
    found = np.zeros(identity.chunks, dtype=np.bool_)
    damaged = 0
    for first in range(0, whole, _RECORDS_AT_ONCE):
        piece = np.frombuffer(data, _DTYPE, min(_RECORDS_AT_ONCE, whole - first), _HEAD_BYTES + first * _RECORD.size)
        for chunk, check in piece.tolist():
            if chunk < identity.chunks and check == _record_check(head, chunk):
                found[chunk] = True
            else:
                damaged += 1
    notice = f"{damaged} records of the journal are damaged and ignored" if damaged else None
    return np.flatnonzero(found).tolist(), notice


class Journal:
    """The journal of the restore that is running. Calls come from one thread at a time.

    A journal that cannot be written (no directory, disk full) stops being written and says so in `trouble`; the
    restore goes on and can then not be resumed.
    """

    def __init__(self, path: Path, identity: JournalIdentity) -> None:
        self._path = path
        self._head = _header(identity)
        self._fd = -1
        self.trouble: str | None = None
        """Why this restore cannot be resumed, or None."""

    def start(self, have: Iterable[int] = ()) -> None:
        """Begin a new journal that already names `have`; an older one at this path is replaced in one step."""
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._write(self._head)
            todo = iter(have)
            while some := list(islice(todo, _RECORDS_AT_ONCE)):
                self._write(self._records(some))
            os.replace(beside, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            self._give_up(error)

    def add(self, chunks: Iterable[int]) -> None:
        """`chunks` were written to the target."""
        if self._fd >= 0:
            try:
                self._write(self._records(chunks))
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Keep the journal for the next run."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """The restore is complete: nothing to resume."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _records(self, chunks: Iterable[int]) -> bytes:
        return b"".join(_RECORD.pack(chunk, _record_check(self._head, chunk)) for chunk in chunks)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def _give_up(self, error: OSError) -> None:
        self.close()
        self.trouble = f"the journal {self._path} cannot be written: {error.strerror}; this restore cannot be resumed"


def _header(identity: JournalIdentity) -> bytes:
    target = blake3.blake3(identity.target.encode("utf-8", "surrogateescape")).digest()
    head = _HEAD.pack(_MAGIC, identity.root, target, identity.chunks, 0)
    return head + _check(head)


def _check(head: bytes) -> bytes:
    return _SUM.pack(xxhash.xxh3_64_intdigest(head))


def _record_check(head: bytes, chunk: int) -> int:
    return xxhash.xxh3_64_intdigest(head[_HEAD.size : _HEAD_BYTES] + chunk.to_bytes(4, "little")) & 0xFFFFFFFF
