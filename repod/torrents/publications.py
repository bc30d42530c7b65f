"""Which images are published as torrents: a list that commands change and a running daemon sees at the next request.

A publication is a promise to clients that hold its torrent: while it stands, its image version cannot be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from core.errors import LockedError, NotFoundError, RepositoryError, UsageError
from core.files import write_atomically
from core.ids import ImageRef
from images.exporters.ranged import FileForm
from images.repository import Repository
from images.store.disk import disk_errors
from images.torrent.metainfo import TORRENT_BYTES_MAX
from repod.layout import Layout

__all__ = ["PUBLISHED_MAX", "SECRET_MAX_CHARS", "Publication", "Publications", "new_publication_id", "new_secret"]

PUBLISHED_MAX = 256
"""Torrents of one repository."""
SECRET_MAX_CHARS = 64
LIST_BYTES_MAX = 1 << 20
_SECRET_BYTES = 32
_FOLDER_MODE = 0o700


class Publication(msgspec.Struct, kw_only=True, frozen=True):
    """One published torrent as kept."""

    id: str
    """8 hex digits: names it in lists and logs."""
    secret: str
    """Part of its URLs: whoever knows it may download."""
    image: str
    """name@version."""
    root: str
    """Root digest of the image, hex."""
    form: FileForm
    file_name: str
    length: int
    """Bytes of the file."""
    pieces: int
    piece_length: int
    info_hash_v1: str
    """Hex, 20 bytes."""
    info_hash_v2: str
    """Hex, 32 bytes."""
    misread_hash: str
    """Hex, 20 bytes: what aria2 before 1.37 takes for info_hash_v1."""
    created: float
    """Seconds since 1970."""

    @property
    def ref(self) -> ImageRef:
        """The image version."""
        return ImageRef.parse(self.image)

    @property
    def announced(self) -> tuple[bytes, ...]:
        """The info hashes as clients announce them, 20 bytes each."""
        return tuple(
            bytes.fromhex(info_hash)[:20] for info_hash in (self.info_hash_v1, self.info_hash_v2, self.misread_hash)
        )


class _List(msgspec.Struct):
    torrents: list[Publication]


class Publications:
    """The published torrents of one repository. Every method reads or writes a small file."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: tuple[int, int, int] | None = None
        self._list: list[Publication] = []
        self._by_secret: dict[bytes, Publication] = {}

    def all(self) -> list[Publication]:
        """What is published now. Raises RepositoryError if the list is damaged."""
        path = self._layout.torrents
        try:
            status = path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._take(_parse(path))
                self._seen = seen
        except FileNotFoundError:
            self._take([])
            self._seen = None
        except OSError as error:
            raise RepositoryError(f"cannot read {path}: {error.strerror}") from error
        return self._list

    def of_secret(self, secret: str) -> Publication:
        """The publication whose URLs have this secret. NotFoundError if there is none."""
        self.all()
        found = self._by_secret.get(_key(secret))
        if found is None:
            raise NotFoundError("there is no such torrent", hint="it may have been withdrawn: ask for a new one")
        return found

    def of_image(self, ref: ImageRef, root: bytes, form: FileForm) -> Publication | None:
        """The publication of exactly this file, if there is one."""
        for publication in self.all():
            if (publication.image, publication.root, publication.form) == (str(ref), root.hex(), form):
                return publication
        return None

    def torrent(self, publication: Publication) -> bytes:
        """The .torrent file of a publication. NotFoundError if it was withdrawn meanwhile."""
        path = self._file(publication.id)
        try:
            with path.open("rb") as file:
                return file.read(TORRENT_BYTES_MAX)
        except FileNotFoundError:
            raise NotFoundError("the torrent was withdrawn") from None
        except OSError as error:
            raise RepositoryError(f"cannot read {path}: {error.strerror}") from error

    def publish(self, publication: Publication, torrent: bytes, repository: Repository) -> None:
        """Make a torrent known, or replace the one of the same id. NotFoundError if its image was removed meanwhile."""
        with self._changing() as listed:
            repository.find(publication.ref)
            others = [other for other in listed if other.id != publication.id]
            if len(others) >= PUBLISHED_MAX:
                raise UsageError(f"there are {PUBLISHED_MAX} torrents already", hint="withdraw some: repod torrents")
            self._layout.torrent_files.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            write_atomically(self._file(publication.id), torrent, mode=0o600)
            self._write([*others, publication])
            self._tidy()

    def withdraw(self, name: str) -> list[Publication]:
        """Take back the torrent with this id, or those of this image version. NotFoundError if there is none."""
        with self._changing() as listed:
            gone = [publication for publication in listed if name in (publication.id, publication.image)]
            if not gone:
                raise NotFoundError(f"no torrent {name!a}", hint="`repod torrents DIR` lists them")
            self._write([publication for publication in listed if publication not in gone])
            self._tidy()
        return gone

    @contextlib.contextmanager
    def unpublished(self, refs: Iterable[ImageRef]) -> Iterator[None]:
        """Hold still while the versions `refs` are removed. LockedError, and nothing is, if one is published."""
        with self._changing() as listed:
            published = {publication.image for publication in listed}
            for ref in refs:
                if str(ref) in published:
                    raise LockedError(
                        f"{ref} is published as a torrent",
                        hint=f"withdraw that first: repod torrents DIR --withdraw {ref}",
                    )
            yield

    def _file(self, publication_id: str) -> Path:
        return self._layout.torrent_files / f"{publication_id}.torrent"

    def _take(self, listed: list[Publication]) -> None:
        self._list = listed
        self._by_secret = {_key(publication.secret): publication for publication in listed}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Publication]]:
        """What is published, under a lock on the repository's folder, so that two commands at once lose nothing."""
        with disk_errors("changing the list of torrents"):
            folder = os.open(self._layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield list(self.all())
            finally:
                os.close(folder)

    def _write(self, listed: list[Publication]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_List(listed))) + b"\n"
        write_atomically(self._layout.torrents, data, mode=0o600)

    def _tidy(self) -> None:
        """Remove files of torrents that are not listed: withdrawn, or never listed because the machine stopped."""
        listed = {f"{publication.id}.torrent" for publication in self.all()}
        with contextlib.suppress(FileNotFoundError):
            for path in self._layout.torrent_files.iterdir():
                if path.name not in listed:
                    path.unlink(missing_ok=True)


def new_publication_id() -> str:
    """8 hex digits."""
    return secrets.token_hex(4)


def new_secret() -> str:
    """256 random bits for a URL."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def _key(secret: str) -> bytes:
    """What is looked up: how long that takes says nothing about a secret that comes close."""
    return blake3(secret.encode("utf-8", "surrogateescape")).digest()


def _parse(path: Path) -> list[Publication]:
    with path.open("rb") as file:
        data = file.read(LIST_BYTES_MAX + 1)
    try:
        if len(data) > LIST_BYTES_MAX:
            raise msgspec.ValidationError("too large")
        return msgspec.json.decode(data, type=_List).torrents
    except msgspec.MsgspecError as error:
        raise RepositoryError(f"{path} is damaged: {error}", hint="restore it from a backup, or remove it") from error
