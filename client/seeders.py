"""Who seeds on this machine: one process an image, known by a note in the state directory that it keeps locked.

The lock, not the number in the note, says that a process lives: it goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.errors import LocalError, LockedError
from core.ids import ImageRef

__all__ = [
    "STOP_S",
    "SeederNote",
    "claimed",
    "find_seeder",
    "is_outlasted",
    "note_path",
    "running_seeders",
    "seeders_folder",
    "stop",
]

STOP_S = 10.0
"""How long a seeder may take to say good-bye before it is killed."""
NOTE_MAX_BYTES = 64 * 1024
WRITTEN_S = 1.0
"""A note is written within so long after it was locked."""
LONGER_S = 1.0
"""Whoever gives on for less than so much longer than another takes nothing over from it."""
_SUFFIX = ".seed"
_ROOT_DIGITS = 16
_ATTEMPTS_MAX = 20
_PAUSE_S = 0.01


class SeederNote(msgspec.Struct, frozen=True, kw_only=True):
    """One process that gives an image."""

    image: str
    """`name@version`."""
    root: str
    """Root digest of its manifest, hex."""
    pid: int
    options: str
    """`peer:60`, `seeder:0`: what it was asked for."""
    began: str
    """RFC 3339, UTC."""
    holds: str
    """Where its chunks are: a CACHE, a target, or memory."""
    log: str = ""
    """Its log file, if it is in the background."""


def seeders_folder(state_dir: Path) -> Path:
    """Where notes and logs of seeders lie."""
    return state_dir / "seeders"


def note_path(folder: Path, ref: ImageRef, root: bytes) -> Path:
    """The note of the process that gives this image version."""
    return folder / f"{ref}.{root.hex()[:_ROOT_DIGITS]}{_SUFFIX}"


@contextlib.contextmanager
def claimed(folder: Path, ref: ImageRef, root: bytes, note: SeederNote) -> Iterator[None]:
    """Be the one process that gives this image. LockedError if there is another, LocalError if notes cannot be kept."""
    path = note_path(folder, ref, root)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = _lock(path)
    except OSError as error:
        raise LocalError(f"no note can be kept in {folder}: {error.strerror}", hint="set state_dir") from error
    if fd is None:
        raise LockedError(f"{ref} is given by another process of this machine already", hint="`ogcast seed` shows it")
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(note), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(fd)


def running_seeders(folder: Path) -> list[SeederNote]:
    """Those that live, by image. Notes of those that died are removed."""
    try:
        paths = sorted(folder.glob(f"*{_SUFFIX}"))
    except OSError:
        return []
    return [note for path in paths if (note := _read(path)) is not None]


def find_seeder(folder: Path, ref: ImageRef, root: bytes) -> SeederNote | None:
    """The one that gives this image version, if it lives."""
    return _read(note_path(folder, ref, root))


def is_outlasted(note: SeederNote, options: str, *, now: datetime.datetime) -> bool:
    """Whether a process in the background ends before one with these options would that began `now`. One without
    seconds ends nobody knows when, as the repository says: it is not outlasted, and outlasts none. A seeder without
    seconds has no end, and any seeder outlasts a peer, whose seconds are what it gives at most."""
    theirs, ours = _lasts_s(note.options), _lasts_s(options)
    if not note.log or theirs is None or ours is None:
        return False
    try:
        passed_s = (now - datetime.datetime.fromisoformat(note.began)).total_seconds()
    except (ValueError, TypeError):
        return False
    replaced = _mode(note.options) == "peer" and _mode(options) == "seeder"
    return replaced or ours > theirs - passed_s + LONGER_S


def stop(folder: Path, note: SeederNote) -> bool:
    """Have it end, and wait for that; False if it had to be killed. LocalError if this user may not."""
    path = folder / f"{note.image}.{note.root[:_ROOT_DIGITS]}{_SUFFIX}"
    try:
        process = os.pidfd_open(note.pid)
    except ProcessLookupError:
        return True
    try:
        # The number may be somebody else's by now. Whoever holds the lock is alive, so while it is held, and the
        # descriptor was opened before, the descriptor is the seeder's.
        found = _read(path)
        if found is None or found.pid != note.pid:
            return True
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if _ended(process):
            return True
        signal.pidfd_send_signal(process, signal.SIGKILL)
        _ended(process)
        return False
    except ProcessLookupError:
        return True
    except PermissionError as error:
        raise LocalError(f"the seeder of {note.image} (process {note.pid}) belongs to another user") from error
    finally:
        os.close(process)


def _mode(options: str) -> str:
    return options.partition(":")[0]


def _lasts_s(options: str) -> float | None:
    mode, _, seconds = options.partition(":")
    if mode == "seeder" and seconds in ("", "0"):
        return float("inf")
    return float(seconds) if seconds.isdecimal() else None


def _ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(STOP_S * 1000))


def _lock(path: Path) -> int | None:
    """The locked descriptor of the note at `path`; None if another process holds it."""
    for _ in range(_ATTEMPTS_MAX):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            time.sleep(_PAUSE_S)  # it may only be somebody who looks whether the owner lives
            continue
        if _is_at(fd, path):
            return fd
        os.close(fd)  # its owner removed it as it ended
    return None


def _read(path: Path) -> SeederNote | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        deadline = time.monotonic() + WRITTEN_S
        while not _is_free(fd):
            with contextlib.suppress(msgspec.MsgspecError, OSError):
                return msgspec.json.decode(os.pread(fd, NOTE_MAX_BYTES, 0), type=SeederNote)
            if time.monotonic() > deadline:
                return None
            time.sleep(_PAUSE_S)
        if _is_at(fd, path):
            path.unlink(missing_ok=True)
        return None
    finally:
        os.close(fd)


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
