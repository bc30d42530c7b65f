"""Where things lie in a repository directory (docs/image-format.md 3)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from core.errors import RepositoryError
from core.ids import ImageRef
from images.store.disk import AS_OWNER, FILE_MODE, disk_errors
from images.store.marker import FORMAT_WORD

__all__ = ["RESERVE_BYTES", "RepositoryPaths"]

_FORMAT_LINE = f"{FORMAT_WORD}1\n"
RESERVE_BYTES = 2**20
"""What the index needs to forget the chunks of some thousand gigabytes: its journal and side files."""
FOLDER_MODE = 0o750
"""Of the folders with content; the mode of the directory itself is its owner's choice. For files see FILE_MODE."""
_PACK_NAME = re.compile(r"([0-9]{8,})\.ogp", re.ASCII)


@dataclass(frozen=True, slots=True)
class RepositoryPaths:
    """The names inside one repository directory."""

    root: Path

    @property
    def format(self) -> Path:
        """The file that says what this directory is."""
        return self.root / "format"

    @property
    def manifests(self) -> Path:
        """One folder an image name, one file a version."""
        return self.root / "manifests"

    @property
    def trash(self) -> Path:
        """Removed versions that a session may still use."""
        return self.root / "trash"

    @property
    def packs(self) -> Path:
        """The packs."""
        return self.root / "packs"

    @property
    def index(self) -> Path:
        """The SQLite index."""
        return self.root / "index.sqlite"

    @property
    def lock(self) -> Path:
        """Shared by writers, exclusive to gc."""
        return self.root / "lock"

    @property
    def reserve(self) -> Path:
        """Room that gc gives up when the disk is full, because its own steps need a little."""
        return self.root / "reserve"

    def pack(self, number: int) -> Path:
        """File of a pack."""
        return self.packs / f"{number:08d}.ogp"

    def manifest(self, ref: ImageRef) -> Path:
        """File of an image version."""
        return self.manifests / ref.name / f"{ref.version}.ogm"

    def last_version(self, name: str) -> Path:
        """The file that keeps the highest version number ever given to an image."""
        return self.manifests / name / "last"

    def pack_numbers(self) -> list[int]:
        """Numbers of the packs there are, rising."""
        with disk_errors("listing the packs"):
            found = [_PACK_NAME.fullmatch(name) for name in os.listdir(self.packs)]
        return sorted(int(match[1]) for match in found if match)

    def create(self) -> None:
        """Make the directory tree; RepositoryError if there is something in the way."""
        if self.root.exists() and any(self.root.iterdir()):
            raise RepositoryError(f"{self.root} is not empty", hint="name a new or empty directory")
        for folder in (self.manifests, self.trash, self.packs):
            # a partition holds password files and keys: not for every user of this machine
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self.lock.touch(mode=FILE_MODE)
        self.set_room_aside()
        self.format.touch(mode=FILE_MODE)
        self.format.write_text(_FORMAT_LINE)  # last: a directory without it is no repository

    def set_room_aside(self) -> None:
        """Make the reserve if it is not there."""
        fd = os.open(self.reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        except OSError:
            self.reserve.unlink()
            raise
        finally:
            os.close(fd)

    def check(self) -> None:
        """Raise RepositoryError unless the directory is a repository this version reads."""
        try:
            with self.format.open("rb") as file:
                line = file.read(len(_FORMAT_LINE) + 64)
        except PermissionError:
            raise RepositoryError(f"cannot read {self.format}", hint=AS_OWNER) from None
        except OSError:
            raise RepositoryError(
                f"{self.root} is not a repository", hint=f"make one with: repod init {self.root}"
            ) from None
        if line != _FORMAT_LINE.encode():
            found = line[:40].decode(errors="replace").strip()
            raise RepositoryError(
                f"{self.root} is a repository of a format this version does not know: {found!a}",
                hint="it was made by a newer ogcast: install that version",
            )
