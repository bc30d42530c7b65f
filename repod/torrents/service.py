"""What BitTorrent clients are served: announces to the tracker, ranges of published files. No HTTP here."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from core.errors import NotFoundError, ProtocolError, RepositoryError
from repod.catalogue import Catalogue
from repod.proto.announce import encode_failure, encode_reply, parse_announce
from repod.proto.places import Places
from repod.proto.tracker import Tracker, TrackerLimits
from repod.settings import Torrents
from repod.telling import Telling
from repod.torrents.publications import Publication, Publications
from repod.torrents.reading import OpenFile, Readers

__all__ = ["READ_BYTES", "TorrentService"]

READ_BYTES = 512 * 1024
"""What a download holds in memory at a time."""


class TorrentService:
    """Published torrents being served. Use on the event loop only."""

    def __init__(
        self,
        publications: Publications,
        catalogue: Catalogue,
        telling: Telling,
        settings: Torrents,
        *,
        clock: Callable[[], float],
    ) -> None:
        limits = TrackerLimits(
            peers=settings.peers, peers_per_swarm=settings.peers_per_torrent, interval_s=settings.interval_s
        )
        self.publications = publications
        self.tracker = Tracker(limits, rng=random.Random())
        self._readers = Readers(catalogue, is_published=self._is_known)
        self._telling = telling
        self._clock = clock
        self._known: dict[str, Publication] = {}
        self._places = Places(settings.transfers)
        self._downloads = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self.sending = 0
        """Downloads that have their turn."""
        self.bytes_sent = 0
        self.malformed = 0
        """Announces that made no sense."""

    @property
    def refused(self) -> int:
        """Downloads told to come again."""
        return self._places.refused

    def refresh(self) -> list[Publication]:
        """Take over what was published and withdrawn since; cheap when nothing was. RepositoryError for a bad list."""
        listed = self.publications.all()
        now_known = {publication.id: publication for publication in listed}
        if now_known != self._known:
            for publication in self._known.values():
                if now_known.get(publication.id) != publication:
                    self._withdraw(publication, tell=publication.id not in now_known)
            for publication in listed:
                for info_hash in publication.announced:
                    self.tracker.handle_publish(info_hash)
                if publication.id not in self._known:
                    self._tell("torrent_published", publication)
            self._known = now_known
        return listed

    def tick(self) -> None:
        """Call about once a second."""
        with suppress(RepositoryError):  # told to whoever asks for a torrent
            self.refresh()
        self.tracker.poll_expired(now=self._clock())

    def publication(self, secret: str) -> Publication:
        """The torrent with this secret in its URLs. NotFoundError."""
        self.refresh()
        return self.publications.of_secret(secret)

    def announce(self, secret: str, query: bytes, address: str) -> bytes:
        """The answer to an announce from `address`, a refusal included. NotFoundError if the secret is unknown."""
        publication = self.publication(secret)
        try:
            announce = parse_announce(query)
            if announce.info_hash not in publication.announced:
                raise NotFoundError("this address is for another torrent")
            reply = self.tracker.handle_announce(announce, _packed(address), now=self._clock())
        except ProtocolError as error:
            self.malformed += 1
            return encode_failure(str(error))
        except NotFoundError as error:
            return encode_failure(str(error))
        return encode_reply(reply, announce)

    @asynccontextmanager
    async def download(self, publication: Publication, address: str) -> AsyncIterator[OpenFile]:
        """A turn to send from a file to `address`. BusyError if too many wait; NotFoundError, ImageError if it is not
        there."""
        self._downloads += 1
        number = self._downloads
        self._places.handle_asked(number, address)
        granted = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._grant()
            await granted
            self.sending += 1
            try:
                self.refresh()  # it may have been withdrawn while others had their turn
                async with self._readers.file(publication) as opened:
                    yield opened
            finally:
                self.sending -= 1
        finally:
            del self._waiting[number]
            self._places.handle_left(number)
            self._grant()

    async def parts(self, opened: OpenFile, start: int, stop: int) -> AsyncGenerator[bytes]:
        """The bytes [start, stop) of an open file, some at a time. NotFoundError when it is withdrawn meanwhile."""
        for at in range(start, stop, READ_BYTES):
            if opened.withdrawn:
                raise NotFoundError("the torrent was withdrawn")
            part = await self._readers.read(opened, at, min(READ_BYTES, stop - at))
            yield part
            self.bytes_sent += len(part)

    def overview(self) -> list[dict[str, Any]]:
        """What is published and who takes part, for the operator."""
        rows = []
        for publication in self.refresh():
            states = [self.tracker.state(info_hash) for info_hash in publication.announced]
            rows.append(
                {
                    "id": publication.id,
                    "image": publication.image,
                    "file": publication.file_name,
                    "bytes": publication.length,
                    "complete": sum(state.complete for state in states),
                    "incomplete": sum(state.incomplete for state in states),
                    "completed": sum(state.completed for state in states),
                }
            )
        return rows

    def close(self) -> None:
        """Let go of the files; repeatable. Downloads must have ended."""
        self._readers.close()

    def _grant(self) -> None:
        while (number := self._places.poll_granted()) is not None:
            if (granted := self._waiting.get(number)) is not None and not granted.done():
                granted.set_result(None)

    def _is_known(self, publication: Publication) -> bool:
        return self._known.get(publication.id) == publication

    def _withdraw(self, publication: Publication, *, tell: bool) -> None:
        for info_hash in publication.announced:
            self.tracker.handle_withdraw(info_hash)
        self._readers.withdraw(publication.id)
        if tell:
            self._tell("torrent_withdrawn", publication)

    def _tell(self, event: str, publication: Publication) -> None:
        self._telling.tell(event, torrent=publication.id, image=publication.image, bytes=publication.length)


def _packed(address: str) -> bytes:
    """An address as bytes; an IPv4 one that came through an IPv6 socket is IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).packed
