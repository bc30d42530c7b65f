"""Published files opened for reading: pinned, laid out once, read by one thread that everybody shares.

One thread, so that decoding for BitTorrent clients takes one core at most and the caches need no locks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.errors import ImageError, NotFoundError
from images.exporters.ranged import Ranged, SlotCache, open_ranged
from repod.catalogue import Catalogue, Pin
from repod.torrents.publications import Publication

__all__ = ["OPEN_IDLE_MAX", "OpenFile", "Readers"]

OPEN_IDLE_MAX = 4
"""Files kept open that nobody reads just now: each has a manifest and a layout in memory."""


@dataclass(slots=True, kw_only=True)
class OpenFile:
    """One published file."""

    publication: Publication
    pin: Pin
    ranged: Ranged
    readers: int = 0
    withdrawn: bool = False
    """Nobody may read on."""


class Readers:
    """The open files. Use on the event loop only."""

    def __init__(self, catalogue: Catalogue, *, is_published: Callable[[Publication], bool]) -> None:
        self._catalogue = catalogue
        self._is_published = is_published
        self._cache = SlotCache()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torrent-read")
        self._open: OrderedDict[str, OpenFile] = OrderedDict()
        """Of what is published; what was withdrawn is closed by its last reader."""
        self._opening = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def file(self, publication: Publication) -> AsyncIterator[OpenFile]:
        """The file of a publication, open while the block runs. Raises NotFoundError or ImageError if it is not there.

        NotFoundError: it was withdrawn, be it while others were waited for. ImageError: the repository does not hold
        what was published any more.
        """
        async with self._opening:
            opened = self._open.get(publication.id)
            if opened is None or opened.publication != publication:
                opened = self._open[publication.id] = await self._lay_out(publication)
            self._open.move_to_end(publication.id)
            opened.readers += 1
        try:
            yield opened
        finally:
            opened.readers -= 1
            if opened.withdrawn and not opened.readers:
                opened.pin.release()
            self._close_idle()

    async def read(self, opened: OpenFile, at: int, length: int) -> bytes:
        """A range of an open file. ChunkError if it cannot be had."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, opened.ranged.read, at, length)

    def withdraw(self, publication_id: str) -> None:
        """Let nobody read on; harmless when the file is not open."""
        opened = self._open.pop(publication_id, None)
        if opened is not None:
            opened.withdrawn = True
            if not opened.readers:
                opened.pin.release()

    def close(self) -> None:
        """Close all; repeatable. Readers must have ended."""
        self._thread.shutdown(cancel_futures=True)
        for opened in self._open.values():
            opened.pin.release()
        self._open.clear()

    async def _lay_out(self, publication: Publication) -> OpenFile:
        pin = await self._catalogue.pin(publication.ref)
        try:
            manifest = pin.manifest
            if manifest.root.hex() != publication.root:
                raise ImageError(f"{publication.image} is not the image that was published")
            ranged = await asyncio.get_running_loop().run_in_executor(
                self._thread, open_ranged, publication.form, manifest, self._catalogue.repository, self._cache
            )
            if ranged.size != publication.length:
                raise ImageError(
                    f"chunks of {publication.image} were stored anew since it was published",
                    hint="withdraw the torrent and export it again",
                )
            if not self._is_published(publication):  # any more: nobody would ever close it
                raise NotFoundError("the torrent was withdrawn")
        except BaseException:
            pin.release()
            raise
        return OpenFile(publication=publication, pin=pin, ranged=ranged)

    def _close_idle(self) -> None:
        """Close the files read longest ago beyond the bound."""
        idle = [key for key, opened in self._open.items() if not opened.readers]
        for key in idle[: max(0, len(idle) - OPEN_IDLE_MAX)]:
            self._open.pop(key).pin.release()
