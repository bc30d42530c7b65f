"""What the daemon reads of its repository: lists, facts, and manifests pinned once however many sessions use them.

All work on the disk happens in threads; methods are called on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from core.errors import ImageError, NotFoundError
from core.ids import ImageRef
from core.logs import get_logger
from images.manifest import Manifest
from images.repository import ImageEntry, PinnedManifest, Repository
from transports.control import ImageInfo

__all__ = ["Catalogue", "Pin", "image_info"]

INFOS_MAX = 4096
"""Facts kept about images, so that listing them does not read every manifest each time."""

_Key = tuple[str, int, int]


class Pin:
    """A manifest that stays usable until `release`, even when its image is removed meanwhile."""

    __slots__ = ("_catalogue", "_held", "key", "pinned")

    def __init__(self, catalogue: Catalogue, key: _Key, pinned: PinnedManifest) -> None:
        self._catalogue = catalogue
        self.key = key
        self._held = True
        self.pinned = pinned

    @property
    def manifest(self) -> Manifest:
        """The parsed manifest, shared with other pins of the same version."""
        return self.pinned.manifest

    @property
    def data(self) -> bytes:
        """The exact bytes of the manifest file."""
        return self.pinned.manifest.data

    @property
    def held(self) -> bool:
        """It was not released yet."""
        return self._held

    def release(self) -> None:
        """Stop using it; harmless when repeated."""
        if self._held:
            self._held = False
            self._catalogue._release(self.key)


class _Shared:
    """One opened manifest and how many pins it has."""

    __slots__ = ("pinned", "users")

    def __init__(self, pinned: PinnedManifest) -> None:
        self.pinned = pinned
        self.users = 0


class Catalogue:
    """Read access to the images of one repository."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._infos: OrderedDict[_Key, ImageInfo] = OrderedDict()
        self._shared: dict[_Key, _Shared] = {}
        self._opening = asyncio.Lock()
        self._listing = asyncio.Lock()
        self._reading = asyncio.Lock()

    @property
    def pinned(self) -> int:
        """Manifests held in memory."""
        return len(self._shared)

    async def images(self) -> list[ImageInfo]:
        """Facts about every image version, by name and version."""
        async with self._listing:  # many clients ask at once when a room starts: one of them does the work
            entries = await asyncio.to_thread(self.repository.images)
            found: list[ImageInfo] = []
            for entry in sorted(entries, key=lambda entry: (entry.name, entry.version)):
                try:
                    found.append(await self._info(entry))
                except NotFoundError:
                    continue  # removed since it was listed
                except ImageError:
                    continue  # told by `pin`
            return found

    async def refs(self) -> frozenset[ImageRef]:
        """All image versions, without a look inside."""
        return frozenset(entry.ref for entry in await asyncio.to_thread(self.repository.images))

    async def info(self, ref: ImageRef) -> ImageInfo:
        """Facts about one image. NotFoundError with close names."""
        return await self._info(await asyncio.to_thread(self.repository.find, ref))

    async def pin(self, ref: ImageRef) -> Pin:
        """Hold an image's manifest. The newest version is chosen now and does not change. NotFoundError; where its file
        is damaged ImageError, and the log names the file."""
        async with self._opening:
            entry = await asyncio.to_thread(self.repository.find, ref)
            key = await asyncio.to_thread(_key, entry)
            shared = self._shared.get(key)
            if shared is None:
                pinned = await asyncio.to_thread(self._open, entry)
                shared = self._shared[key] = _Shared(pinned)
            shared.users += 1
            return Pin(self, key, shared.pinned)

    def _open(self, entry: ImageEntry) -> PinnedManifest:
        try:
            return self.repository.pin(entry.ref)
        except ImageError as error:  # who asked is told of the image, whoever mends it needs the file
            get_logger("repod.catalogue").error(
                "damaged manifest", image=str(entry.ref), file=str(entry.path), message=str(error)
            )
            raise

    def _release(self, key: _Key) -> None:
        shared = self._shared[key]
        shared.users -= 1
        if not shared.users:
            del self._shared[key]
            shared.pinned.close()

    async def facts(self, pin: Pin) -> ImageInfo:
        """Facts about a pinned image, also when it was removed meanwhile."""
        info = self._infos.get(pin.key)
        if info is None:
            # One after the other: the facts of a large image take its manifest and an index over it in memory.
            async with self._reading:
                info = self._infos.get(pin.key)
                if info is None:
                    info = await asyncio.to_thread(image_info, self.repository, pin.manifest)
                    self._infos[pin.key] = info
                    if len(self._infos) > INFOS_MAX:
                        self._infos.popitem(last=False)
        return info

    async def _info(self, entry: ImageEntry) -> ImageInfo:
        info = self._infos.get(await asyncio.to_thread(_key, entry))
        if info is None:
            pin = await self.pin(entry.ref)
            try:
                return await self.facts(pin)
            finally:
                pin.release()
        return info


def image_info(repository: Repository, manifest: Manifest) -> ImageInfo:
    """The facts listed about an image. Blocks on the index for a moment."""
    return ImageInfo(
        name=manifest.name,
        version=manifest.version,
        root=manifest.root.hex(),
        size=manifest.size,
        data_bytes=manifest.data_bytes,
        chunk_size=manifest.chunk_size,
        chunks=manifest.chunk_count,
        stored_bytes=repository.stored_bytes(manifest),
        fs_type=manifest.fs.type,
        created=manifest.created,
        tool=manifest.tool,
    )


def _key(entry: ImageEntry) -> _Key:
    """Identity of a manifest file: in a CACHE, or by hand, another may take the place of one that was removed.

    NotFoundError if it was removed since it was listed.
    """
    try:
        status = entry.path.stat()
    except FileNotFoundError:
        raise NotFoundError(f"{entry.ref} was removed", hint="`repod ls` shows what is there") from None
    return str(entry.path), status.st_ino, status.st_mtime_ns
