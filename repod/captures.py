"""Captures: clients uploading a new image version under the exclusive lock of its name.

Nothing of it is visible before its manifest is published, and everything uploaded stays useful until `gc`.
"""

from __future__ import annotations

import asyncio
import datetime
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from core.errors import BusyError, CaptureError, LockedError, ManifestError, OgcastError, RepositoryError, UsageError
from core.ids import SessionId, check_image_name
from images.codec import CHUNK_SIZE_MAX
from images.defaults import CHUNK_SIZE_BY_IMAGE
from images.manifest import parse_manifest
from images.repository import Repository
from images.signing import SigningKey
from repod.catalogue import Catalogue, image_info
from repod.guarded_writer import GuardedWriter
from repod.lanes import Lanes
from repod.proto.capture_table import CaptureOwner, CaptureTable
from repod.settings import Settings
from repod.telling import Telling
from transports.base import CaptureGrant
from transports.control import CaptureCommitted, CaptureOpened, CaptureRequest

__all__ = ["Captures"]

KEY_BYTES = 32

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Upload:
    """What belongs to one capture that holds its lock."""

    opened: CaptureOpened
    writer: GuardedWriter


class Captures:
    """All captures. Use on the event loop only. Without `signing_key` none are taken."""

    def __init__(
        self,
        catalogue: Catalogue,
        lanes: Lanes,
        table: CaptureTable,
        telling: Telling,
        signing_key: SigningKey | None,
        settings: Settings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._lanes = lanes
        self._telling = telling
        self._signing_key = signing_key
        self._settings = settings
        self._clock = clock
        self._uploads: dict[SessionId, _Upload] = {}
        self._results: dict[SessionId, CaptureCommitted] = {}
        self.table = table
        self.stopping = False

    async def open(self, request: CaptureRequest, *, owner: CaptureOwner) -> CaptureOpened:
        """Take the lock on a name, or get an interrupted capture back. UsageError, LockedError, BusyError."""
        check_image_name(request.name)
        if self._signing_key is None:
            raise UsageError(
                "this repository takes no captures: its clients trust the signatures of another one",
                hint="it is a relay's: capture with the client.toml of the main repository",
            )
        if self.stopping:
            raise BusyError("the repository is stopping", hint="try again when it is back")
        capture_id = SessionId(secrets.token_hex(16))
        capture = self.table.handle_open(capture_id, request.name, owner, now=self._clock())
        if capture.id != capture_id:
            self._telling.tell("capture_resumed", capture=capture.id, name=capture.name, host=str(owner))
            upload = self._uploads.get(capture.id)
            if upload is None:
                raise LockedError("this capture is just being opened", hint="try again in a moment")
            return upload.opened
        purpose = f"capture of {request.name}"
        opening = asyncio.create_task(asyncio.to_thread(GuardedWriter, self._catalogue.repository, purpose=purpose))
        try:
            writer = await _uninterrupted(opening)
            self.table.get(capture_id)  # it may have expired while the store was busy
            key = secrets.token_bytes(KEY_BYTES)
            # Not the size asked for: a large image is cut into larger chunks than the settings say.
            grant = CaptureGrant(id=capture_id, key=key, writer=writer, chunk_bytes=CHUNK_SIZE_MAX)
            opened = CaptureOpened(
                capture=capture_id,
                key=key,
                chunk_size=await self._chunk_size(request.name),
                level=self._settings.level,
                offers=self._lanes.open_capture(grant),
            )
        except BaseException:
            self.table.handle_release(capture_id)
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                await _uninterrupted(asyncio.create_task(asyncio.to_thread(opening.result().close)))
            raise
        self._uploads[capture_id] = _Upload(opened=opened, writer=writer)
        self._telling.tell("capture_opened", capture=capture_id, name=request.name, host=str(owner))
        return opened

    async def _chunk_size(self, name: str) -> int:
        """What repod.toml says, else that of the version before, whose chunks the new one shares; else open."""
        if self._settings.chunk_size:
            return self._settings.chunk_size
        before = await asyncio.to_thread(self._catalogue.repository.chunk_size_of, name)
        return before or CHUNK_SIZE_BY_IMAGE

    async def commit(self, capture_id: SessionId, manifest: bytes) -> CaptureCommitted:
        """Publish the uploaded image; repeating after success gives the same answer.

        Raises ManifestError, CaptureError (wrong name, or chunks missing: upload them and repeat), LockedError,
        RepositoryFullError. The capture goes on after an error.
        """
        if not self.table.handle_commit(capture_id, now=self._clock()):
            return self._results[capture_id]
        # Threads cannot be cancelled: the work goes on, and is noted, even if the request goes away.
        return await _uninterrupted(asyncio.create_task(self._commit(capture_id, manifest)))

    async def release(self, capture_id: SessionId, reason: str) -> None:
        """Give the lock back; harmless when it is gone. LockedError while it is being published."""
        capture = self.table.handle_release(capture_id)
        if capture is None:
            return
        if self._results.pop(capture_id, None) is not None:
            return
        await self._let_go(capture_id, reason)
        name = "capture_expired" if reason == "expired" else "capture_closed"
        self._telling.tell(name, capture=capture_id, name=capture.name, reason=reason)

    async def expire(self) -> None:
        """Release the captures nobody has been heard of."""
        # Asked anew each time: while one is closed the next may be taken up again, or published.
        while expired := self.table.poll_expired(now=self._clock()):
            await self.release(expired[0], "expired")
        gone = self._results.keys() - {capture.id for capture in self.table}
        for capture_id in gone:
            del self._results[capture_id]

    async def close_all(self, reason: str) -> None:
        """Release every capture that is not being published."""
        for capture_id in list(self._uploads):
            try:
                await self.release(capture_id, reason)
            except OgcastError:
                continue  # being published: the request ends by itself

    def handle_lane(self, capture_id: SessionId, *, opened: bool) -> None:
        """A transport says that a lane of a capture opened or closed."""
        self.table.handle_lane(capture_id, opened=opened, now=self._clock())

    async def _commit(self, capture_id: SessionId, manifest: bytes) -> CaptureCommitted:
        name = self.table.get(capture_id).name
        upload = self._uploads[capture_id]
        try:
            result = await asyncio.to_thread(self._publish, name, manifest, upload.writer)
        except BaseException as error:
            self.table.handle_commit_failed(capture_id, now=self._clock())
            self._telling.tell("capture_failed", capture=capture_id, name=name, message=str(error))
            raise
        self._results[capture_id] = result
        self.table.handle_committed(capture_id, now=self._clock())
        await self._let_go(capture_id, "committed")
        image = f"{result.image.name}@{result.image.version}"
        self._telling.tell("capture_committed", capture=capture_id, image=image, bytes_new=result.bytes_new)
        return result

    async def _let_go(self, capture_id: SessionId, reason: str) -> None:
        upload = self._uploads.pop(capture_id, None)
        if upload is not None:
            self._lanes.close(capture_id, reason)
            try:
                await _uninterrupted(asyncio.create_task(asyncio.to_thread(upload.writer.close)))
            except OgcastError as error:  # a full disk: what was not flushed will be sent again
                self._telling.tell("capture_failed", capture=capture_id, message=str(error))

    def _publish(self, name: str, data: bytes, writer: GuardedWriter) -> CaptureCommitted:
        """In a thread: check, sign and publish."""
        manifest = parse_manifest(data)
        if manifest.name != name:
            raise CaptureError(f"manifest of {manifest.name!a} in a capture of {name!a}")
        if manifest.signatures:
            raise ManifestError("a captured manifest comes unsigned: the repository signs it")
        signing_key = self._signing_key
        assert signing_key is not None, "no capture was opened without it"
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with writer:
            try:
                published = self._repository.publish(data, sign=signing_key, writer=writer.store, created=created)
            except RepositoryError as error:
                missing = self._repository.missing(manifest)
                if missing:
                    raise CaptureError(
                        f"{missing} chunks of the image have not arrived", hint="upload what is missing, then repeat"
                    ) from error
                raise
            return CaptureCommitted(image=image_info(self._repository, published), bytes_new=writer.store.bytes_new)

    @property
    def _repository(self) -> Repository:
        return self._catalogue.repository


async def _uninterrupted(work: asyncio.Task[T]) -> T:
    """The result of `work`, which runs a thread: a cancelled waiter waits for its end all the same."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # looked at: nobody is there to hear it
        raise
