"""What arrives is proven before it is stored, and a closed capture stores nothing."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import RepositoryError, RepositoryFullError
from core.ids import Digest, SessionId
from images.digest import digest_of
from images.stores import Encoding
from transports.base import CaptureGrant
from transports.conformance.sample import SampleStore
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.grants import LookUp, Store
from transports.unicast.store_work import Capture

RAW = b"content"


def _capture(writer: Any) -> Capture:
    return Capture(CaptureGrant(id=SessionId("c"), key=bytes(32), writer=writer, chunk_bytes=65536))


def _store(digest: Digest, stored: bytes = RAW, encoding: Encoding = Encoding.RAW) -> Store:
    header = Header(op=Op.WRITE, encoding=encoding)
    return Store(header=header, digest=digest, raw_length=len(RAW), stored=memoryview(stored))


def test_a_good_chunk_is_stored_and_found() -> None:
    with SampleStore() as store:
        capture = _capture(store)
        assert capture.store(_store(digest_of(RAW))) == (Status.OK, "")
        look_up = LookUp(header=Header(op=Op.HAVE), digests=[digest_of(RAW), digest_of(b"")])
        assert capture.look_up(look_up) == [True, False]


@pytest.mark.parametrize(
    "work", [_store(digest_of(b"")), _store(digest_of(RAW), b"no frame", Encoding.ZSTD), _store(digest_of(RAW), b"cut")]
)
def test_a_bad_chunk_is_not_stored(work: Store) -> None:
    with SampleStore() as store:
        assert _capture(store).store(work)[0] is Status.DAMAGED
        assert store.appended == []


def test_a_closed_capture_stores_nothing_and_knows_nothing() -> None:
    with SampleStore() as store:
        capture = _capture(store)
        capture.close()
        assert capture.store(_store(digest_of(RAW)))[0] is Status.CLOSED
        assert capture.look_up(LookUp(header=Header(op=Op.HAVE), digests=[])) is None
        assert store.appended == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(RepositoryFullError("disk full"), Status.FULL), (RepositoryError("index"), Status.FAILED)],
)
def test_trouble_in_the_store_is_told_apart(error: Exception, status: Status) -> None:
    class Broken(SampleStore):
        def append(self, *args: Any, **keywords: Any) -> None:
            raise error

        def contains(self, digests: Any) -> list[bool]:
            raise error

    with Broken() as store:
        capture = _capture(store)
        assert capture.store(_store(digest_of(RAW)))[0] is status
        assert capture.look_up(LookUp(header=Header(op=Op.HAVE), digests=[])) is None
