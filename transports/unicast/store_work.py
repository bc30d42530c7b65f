"""What a capture's lane asks of the store, done on a worker thread: look up, verify, append."""

from __future__ import annotations

import threading

from core.errors import ChunkError, OgcastError, RepositoryFullError
from images.codec import decode_into, verify
from transports.base import CaptureGrant
from transports.unicast.proto.frames import Status
from transports.unicast.proto.grants import LookUp, Store

__all__ = ["Capture"]


class Capture:
    """One upload. Its writer is called under a lock, and never again once `close` has returned."""

    def __init__(self, grant: CaptureGrant) -> None:
        self.grant = grant
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Wait for the call in progress, if any, and make no further one."""
        with self._lock:
            self._closed = True

    def look_up(self, work: LookUp) -> list[bool] | None:
        """Which digests are stored; None when the store cannot say (the capture is closed or broken)."""
        with self._lock:
            if self._closed:
                return None
            try:
                return self.grant.writer.contains(work.digests)
            except (OgcastError, OSError):
                return None

    def store(self, work: Store) -> tuple[Status, str]:
        """Prove that the frame decodes to its digest, then append it."""
        raw = memoryview(bytearray(work.raw_length))
        try:
            decode_into(work.stored, work.header.encoding, raw)
            verify(raw, work.digest)
        except ChunkError as error:
            return Status.DAMAGED, error.message
        with self._lock:
            if self._closed:
                return Status.CLOSED, "the capture was closed"
            try:
                self.grant.writer.append(
                    work.digest, work.stored, encoding=work.header.encoding, raw_length=work.raw_length
                )
            except RepositoryFullError as error:
                return Status.FULL, error.message
            except (OgcastError, OSError) as error:
                return Status.FAILED, str(error)
        return Status.OK, ""
