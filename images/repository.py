"""Repository: images and their chunks in one directory. The server's REPO and a client's CACHE are both of this kind.

This is the front of `images.store`, where each job has its file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import ChunkError, ManifestError, NotFoundError, RepositoryError, RepositoryTroubleError
from core.ids import ChunkIndex as ChunkNumber
from core.ids import Digest, ImageRef
from images.manifest import Manifest, parse_manifest
from images.signing import SigningKey
from images.store.catalogue import Catalogue, ImageEntry
from images.store.diff import DiffReport, diff_manifests
from images.store.disk import disk_errors
from images.store.gc import GcReport, collect_garbage
from images.store.index import ChunkIndex, Place
from images.store.lock import LOCK_WAIT_S, shared_lock
from images.store.packs import PackFiles
from images.store.paths import RepositoryPaths
from images.store.pin import PinnedManifest, pin
from images.store.rebuild import RebuildReport, rebuild_index
from images.store.verify import DamagedChunk, VerifyProgress, VerifyReport, verify_store
from images.store.writer import StoreWriter
from images.stores import StoredChunk

__all__ = [
    "DiffReport",
    "GcReport",
    "ImageEntry",
    "PinnedManifest",
    "RebuildReport",
    "Repository",
    "StoreStats",
    "StoreWriter",
    "VerifyProgress",
    "VerifyReport",
]

_LOCATE_ATTEMPTS_MAX = 5
"""Times gc may move one chunk between the look at the index and the opening of its pack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Figures of a repository."""

    images: int
    """Names."""
    versions: int
    """Manifests."""
    chunks: int
    """Distinct chunks."""
    raw_bytes: int
    """Their uncompressed bytes."""
    stored_bytes: int
    """Their stored bytes."""
    packs: int
    pack_bytes: int
    """Bytes of the pack files, with headers and what gc would reclaim."""


class Repository:
    """An open repository: a ChunkReader, safe for any number of threads; other processes may use it at once."""

    def __init__(self, paths: RepositoryPaths, *, read_only: bool) -> None:
        """Use `open` or `create`."""
        self.paths = paths
        self.read_only = read_only
        self._catalogue = Catalogue(paths)
        self._packs = PackFiles(paths)
        self._index_or_none: ChunkIndex | None = None
        self._opening = threading.Lock()
        self._closed = False

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """Make an empty repository in a new or empty directory and open it."""
        paths = RepositoryPaths(Path(path))
        with disk_errors(f"making a repository in {path}"):
            paths.create()
        ChunkIndex.open(paths.index, create=True).close()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False) -> Self:
        """Open a repository. `read_only` works on media that cannot be written.

        A damaged index is reported by the first call that needs it, so that `rebuild_index` can mend it.
        """
        paths = RepositoryPaths(Path(path))
        paths.check()
        return cls(paths, read_only=read_only)

    def close(self) -> None:
        """Close files; repeatable. Descriptors given out by `locate` are closed with it."""
        with self._opening:
            self._closed = True
            self._drop_index()
        self._packs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Chunks

    def locate(self, digest: Digest) -> StoredChunk:
        """Where a chunk lies. Raises ChunkError if the store does not hold it, or its pack is lost or
        ends before it, RepositoryTroubleError if the pack cannot be opened now: that may pass."""
        for _ in range(_LOCATE_ATTEMPTS_MAX):
            place = self._index.lookup(digest)
            if place is None:
                raise ChunkError(
                    f"the store does not hold chunk {digest.hex()[:16]}…",
                    hint="run verify: it names the images that miss chunks; import or capture them again",
                )
            try:
                fd = self._packs.fd(place.pack)
                held = os.fstat(fd).st_size
            except FileNotFoundError:
                continue  # gc moved the chunk after the look at the index
            except OSError as error:
                raise RepositoryTroubleError(
                    f"pack {place.pack} cannot be opened: {error.strerror}",
                    hint="look at the disk, at the owner of the repository's files and at the limit of open files",
                ) from error
            if held < place.offset + place.stored_length:
                raise ChunkError(
                    f"the pack of chunk {digest.hex()[:16]}… ends early", hint="run verify, then import again"
                )
            return StoredChunk(
                fd=fd,
                offset=place.offset,
                length=place.stored_length,
                encoding=place.encoding,
                raw_length=place.raw_length,
            )
        raise ChunkError(f"the pack of chunk {digest.hex()[:16]}… is missing", hint="run verify, then import again")

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` the store holds, in order. At most 4096 digests a call."""
        return self._index.contains(digests)

    def missing(self, manifest: Manifest) -> int:
        """How many distinct chunks of an image the store does not hold."""
        return sum(place is None for _, place in self.places(manifest))

    def places(self, manifest: Manifest) -> Iterator[tuple[ChunkNumber, Place | None]]:
        """Each distinct chunk of an image (the first with its digest), and where the index says it lies, or None."""
        for chunks in manifest.distinct():
            found = self._index.places([manifest.digest(chunk) for chunk in chunks])
            yield from zip(chunks, found, strict=True)

    def stored_bytes(self, manifest: Manifest) -> int:
        """Stored bytes of the distinct chunks of an image; what is missing takes none."""
        return sum(place.stored_length for _, place in self.places(manifest) if place is not None)

    def writer(self, *, purpose: str = "", wait_s: float = LOCK_WAIT_S) -> StoreWriter:
        """A writer of new chunks; a context manager. `purpose` is for messages. LockedError if gc runs on."""
        self._writable()
        return StoreWriter(self.paths, purpose=purpose, wait_s=wait_s)

    def forget(self, digests: Sequence[Digest]) -> int:
        """Drop damaged chunks from the index, so that they count as missing; returns how many were there."""
        self._writable()
        with shared_lock(self.paths.lock):
            return self._index.forget(digests)

    def forget_damaged(self, chunks: Sequence[DamagedChunk]) -> int:
        """Drop what `verify` found damaged, where it still lies there, so that the next import stores it anew.

        Returns how many there were.
        """
        self._writable()
        at = [(one.digest, one.pack, one.offset) for one in chunks if one.pack is not None and one.offset is not None]
        with shared_lock(self.paths.lock):
            return self._index.forget_at(at)

    # Images

    def images(self) -> list[ImageEntry]:
        """All versions of all images, by name and version."""
        return self._catalogue.images()

    def find(self, ref: ImageRef) -> ImageEntry:
        """The version `ref` names, or the newest. NotFoundError with names that come close."""
        return self._catalogue.find(ref)

    def pin(self, ref: ImageRef) -> PinnedManifest:
        """Open a version for a session: while it is held, its chunks stay. A context manager."""
        return pin(self._catalogue, ref)

    def chunk_size_of(self, name: str) -> int | None:
        """How the newest version of `name` is cut, bytes; None where there is none that can be read."""
        try:
            with self.pin(ImageRef(name)) as pinned:
                return pinned.manifest.chunk_size
        except (NotFoundError, ManifestError):
            return None

    def publish(
        self, manifest_bytes: bytes, *, sign: SigningKey | None, writer: StoreWriter, created: str | None = None
    ) -> Manifest:
        """Make an image visible as the next version of its name, signed by `sign`, made at `created` if that is given.

        `writer` is the one that stored its chunks: it is flushed, and keeps gc away meanwhile.
        Raises RepositoryError if a chunk of the image is not in the store.
        """
        writer.flush()
        self._check_complete(parse_manifest(manifest_bytes))
        return self._catalogue.publish(manifest_bytes, sign=sign, created=created)

    def adopt(self, manifest_bytes: bytes) -> Manifest:
        """Make an image visible under the name, version and signature it has already (what a CACHE does).

        Another manifest of that name and version goes to the trash. RepositoryError if a chunk is not in the store.
        """
        self._writable()
        with shared_lock(self.paths.lock):
            self._check_complete(parse_manifest(manifest_bytes))
            return self._catalogue.adopt(manifest_bytes)

    def remove(self, ref: ImageRef) -> ImageEntry:
        """Take a version (the newest if `ref` names none) out of sight; `gc` frees its room."""
        self._writable()
        return self._catalogue.remove(ref)

    # Upkeep

    def stats(self) -> StoreStats:
        """Figures of what is stored."""
        entries = self.images()
        with self._index.reading() as connection:
            chunks, raw_bytes, stored_bytes = connection.execute(
                "SELECT count(*), coalesce(sum(raw_length), 0), coalesce(sum(stored_length), 0) FROM chunks"
            ).fetchone()
        sizes = []
        for number in self.paths.pack_numbers():
            with contextlib.suppress(FileNotFoundError):
                sizes.append(os.stat(self.paths.pack(number)).st_size)
        return StoreStats(
            images=len({entry.name for entry in entries}),
            versions=len(entries),
            chunks=chunks,
            raw_bytes=raw_bytes,
            stored_bytes=stored_bytes,
            packs=len(sizes),
            pack_bytes=sum(sizes),
        )

    def gc(self, *, dry_run: bool = False, public_key: bytes | None = None, wait_s: float = LOCK_WAIT_S) -> GcReport:
        """Free what no manifest and no session needs. LockedError if writers do not end within `wait_s`.

        RepositoryError if a manifest is damaged; `public_key` also tells those that were changed after it signed them.
        """
        self._writable()
        return collect_garbage(self.paths, self._catalogue, dry_run=dry_run, public_key=public_key, wait_s=wait_s)

    def verify(
        self,
        *,
        refs: Sequence[ImageRef] | None = None,
        public_key: bytes | None = None,
        progress: Callable[[VerifyProgress], None] | None = None,
        workers: int | None = None,
    ) -> VerifyReport:
        """Re-hash every chunk, or those of `refs`, and check the manifests, with their signature if a key is given.

        Damage is reported, not raised. gc waits meanwhile. `progress` is called in this thread, once a chunk.
        """
        with contextlib.nullcontext() if self.read_only else shared_lock(self.paths.lock):
            return verify_store(
                self._catalogue,
                self._index,
                self._packs,
                refs=refs,
                public_key=public_key,
                progress=progress,
                workers=workers,
            )

    def rebuild_index(self, *, wait_s: float = LOCK_WAIT_S) -> RebuildReport:
        """Make the index again from the packs. LockedError if writers do not end within `wait_s`."""
        self._writable()
        with self._opening:
            self._drop_index()
            return rebuild_index(self.paths, self._catalogue, wait_s=wait_s)

    def diff(self, old: ImageRef, new: ImageRef) -> DiffReport:
        """What `new` shares with `old`, and what it adds."""
        with self.pin(old) as one, self.pin(new) as other:
            return diff_manifests(self._index, one.manifest, other.manifest)

    @property
    def _index(self) -> ChunkIndex:
        index = self._index_or_none
        if index is None:
            with self._opening:
                if self._closed:
                    raise ValueError("the repository is closed")
                index = self._index_or_none
                if index is None:
                    opener = ChunkIndex.open_read_only if self.read_only else ChunkIndex.open
                    index = self._index_or_none = opener(self.paths.index)
        return index

    def _drop_index(self) -> None:
        if self._index_or_none is not None:
            self._index_or_none.close()
            self._index_or_none = None

    def _writable(self) -> None:
        if self.read_only:
            raise RepositoryError(f"{self.paths.root} is open for reading only")

    def _check_complete(self, manifest: Manifest) -> None:
        missing = self.missing(manifest)
        if missing:
            raise RepositoryError(f"{missing} chunks of {manifest.name} are not in the store", hint="import it again")
