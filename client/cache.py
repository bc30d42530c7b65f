"""The CACHE: this machine's own repository directory, found, opened, and measured before it is filled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.occupancy import mount_point_of
from core.errors import (
    CacheDamagedError,
    CacheFullError,
    NoCacheError,
    NotFoundError,
    RepositoryError,
    RepositoryFullError,
)
from core.units import human_bytes
from images.repository import Repository

__all__ = ["CACHE_LABEL", "asked_of", "check_room", "find_cache", "full_cache", "open_cache"]

CACHE_LABEL = "CACHE"
OPENGNSYS_CACHE = Path("/opt/opengnsys/cache")
"""Where OpenGnsys mounts the CACHE partition."""
INSIDE = Path("opt/opengnsys/ogcast")
"""Our directory on the CACHE partition, beside OpenGnsys' own images."""
SIGNS = "signing.key"
"""What a repository has and a CACHE has not (repod/layout.py)."""
RECORD_BYTES = 64
"""What a pack adds to each stored chunk (docs/image-format.md 3.1)."""
RESERVE_BYTES = 16 << 20
"""For the index, the manifest and what the file system keeps to itself."""
MAKE_ROOM = "`ogcast cache rm NAME` and `ogcast cache gc` make room"


def find_cache(flag: Path | None, configured: Path | None, *, served: bool = False) -> Path:
    """The directory of the CACHE: --cache, else the configured one, else the one on the CACHE partition.

    CacheDamagedError if that is a repository which signs: its images are nobody's to replace or remove but `repod`'s.
    With `served` it may be one, for a relay fills its own store. NoCacheError if the partition is not mounted or the
    directory above does not exist: a directory made on the RAM disk of a netbooted client would be no CACHE.
    """
    chosen = flag or configured
    if chosen is not None:
        if not os.path.isdir(chosen) and not chosen.absolute().parent.is_dir():  # a name too long is told by open_cache
            raise NoCacheError(
                f"no CACHE: there is no directory {chosen.absolute().parent}", hint="mount it, or give --cache DIR"
            )
        if not served and os.path.lexists(chosen / SIGNS):
            raise CacheDamagedError(
                f"{chosen} is a repository, not a CACHE", hint="give another directory; `repod` looks after that one"
            )
        return chosen
    base = OPENGNSYS_CACHE if os.path.ismount(OPENGNSYS_CACHE) else _labelled()
    if base is None:
        raise NoCacheError(
            f"no CACHE: nothing is mounted on {OPENGNSYS_CACHE} and no partition labelled {CACHE_LABEL} is mounted",
            hint="mount the CACHE partition or give --cache DIR; the DIRECT methods need none",
        )
    return base / INSIDE


def open_cache(directory: Path, *, create: bool) -> Repository:
    """Open the CACHE, making it where there is none yet if `create`. CacheDamagedError if it is unusable,
    CacheFullError if there is no room to make it."""
    try:
        if not (directory / "format").exists():
            if not create:
                raise NoCacheError(f"no CACHE in {directory}", hint="`ogcast update-cache NAME` makes one")
            if directory.is_dir() and any(entry for entry in os.listdir(directory) if entry != "lost+found"):
                raise CacheDamagedError(
                    f"{directory} holds other things and is no CACHE", hint="give an empty or new directory"
                )
            directory.mkdir(parents=True, exist_ok=True)
            Repository.create(directory).close()
        return Repository.open(directory)
    except RepositoryFullError as error:
        raise full_cache(directory, error) from error
    except RepositoryError as error:
        raise CacheDamagedError(f"the CACHE {directory} is unusable: {error}", hint=error.hint) from error
    except OSError as error:
        raise CacheDamagedError(f"the CACHE {directory} is unusable: {error.strerror}") from error


@contextmanager
def asked_of(directory: Path) -> Iterator[None]:
    """Around a look-up in the CACHE: an image that is not there is told as missing from the CACHE."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(
            f"{error} in the CACHE {directory}",
            hint="`ogcast cache ls` shows what is there, `ogcast update-cache NAME` fetches an image",
        ) from error


def check_room(directory: Path, *, stored_bytes: int, held_bytes: int, missing: int, image: str) -> None:
    """CacheFullError unless what is missing of an image fits.

    A chunk takes the same bytes here as in the repository, so what is missing is the whole less what is held.
    """
    needed = max(0, stored_bytes - held_bytes) + missing * RECORD_BYTES
    room = os.statvfs(directory)
    free = room.f_bavail * room.f_frsize
    if missing and needed + RESERVE_BYTES > free:
        raise CacheFullError(
            f"{image} needs {human_bytes(needed)} more in the CACHE {directory}, {human_bytes(free)} are free",
            hint=MAKE_ROOM,
        )


def full_cache(directory: Path, error: RepositoryFullError) -> CacheFullError:
    """What it means that the CACHE ran full while something was stored there: others may write to its file system."""
    return CacheFullError(f"{error} in the CACHE {directory}", hint=MAKE_ROOM)


def _labelled() -> Path | None:
    try:
        number = os.stat(f"/dev/disk/by-label/{CACHE_LABEL}").st_rdev
        mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return None
    point = mount_point_of(mountinfo, f"{os.major(number)}:{os.minor(number)}")
    return None if point is None else Path(point)
