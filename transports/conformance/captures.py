"""What a transport with `capabilities.captures` must do besides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

from core.errors import ChunkError, ConnectionFailedError, OgcastError
from core.ids import Digest, SessionId
from images.codec import encode
from images.digest import digest_of
from images.stores import Encoding
from transports.base import CaptureClient, CaptureGrant, Offer
from transports.conformance.sample import CHUNK_BYTES, SampleStore
from transports.conformance.scene import KEY, SESSION, Check, Rig, Scene, require, serving

__all__ = ["CAPTURE_CHECKS"]


@contextlib.asynccontextmanager
async def _capture(scene: Scene) -> AsyncIterator[tuple[SampleStore, CaptureClient, Offer]]:
    store = SampleStore()
    try:
        grant = CaptureGrant(id=SessionId("capture-1"), key=KEY, writer=store, chunk_bytes=CHUNK_BYTES)
        offer = scene.server.open_capture(grant)
        yield store, cast(CaptureClient, scene.client), offer
        scene.server.close_session(grant.id, "done")
    finally:
        store.close()


async def check_an_upload_arrives(rig: Rig) -> None:
    """Chunks written, several in flight, are held afterwards; contains tells them from others."""
    async with serving(rig) as scene, _capture(scene) as (store, client, offer):
        digests = [digest_of(raw) for raw in scene.raws]
        async with client.upload(offer, session_id=SessionId("capture-1"), key=KEY) as lane:
            require(not any(await lane.contains(digests)), "an empty store holds something")

            async def one(raw: bytes) -> None:
                encoding, stored = encode(raw, 1)
                await lane.write(digest_of(raw), stored, encoding=encoding, raw_length=len(raw))

            await asyncio.gather(*(one(raw) for raw in scene.raws[:20]))
            require(await lane.contains(digests) == [True] * 20 + [False] * (len(digests) - 20), "contains is wrong")
        require(store.contains(digests[:20]) == [True] * 20, "chunks are missing in the store")


async def check_a_bad_chunk_is_not_stored(rig: Rig) -> None:
    """Every chunk is proven before it is appended; the lane survives and says which was bad."""
    async with serving(rig) as scene, _capture(scene) as (store, client, offer):
        good, bad = scene.raws[0], scene.raws[1]
        async with client.upload(offer, session_id=SessionId("capture-1"), key=KEY) as lane:
            for digest, stored, encoding, raw_length in (
                (digest_of(good), bad, Encoding.RAW, len(bad)),
                (digest_of(bad), bad, Encoding.ZSTD, len(bad)),
                (digest_of(bad), encode(bytes(CHUNK_BYTES), 1)[1], Encoding.ZSTD, 512),
            ):
                try:
                    await lane.write(digest, stored, encoding=encoding, raw_length=raw_length)
                except ChunkError:
                    continue
                raise AssertionError("a bad chunk was taken")
            await lane.write(digest_of(good), good, encoding=Encoding.RAW, raw_length=len(good))
        require(store.appended == [digest_of(good)], f"{len(store.appended)} chunks were stored")


async def check_an_upload_goes_on_after_a_broken_lane(rig: Rig) -> None:
    """A second lane of the same capture takes over and finds what the first wrote."""
    async with serving(rig) as scene, _capture(scene) as (_, client, offer):
        raw = scene.raws[0]
        digest: Digest = digest_of(raw)
        async with client.upload(offer, session_id=SessionId("capture-1"), key=KEY) as first:
            await first.write(digest, raw, encoding=Encoding.RAW, raw_length=len(raw))
            async with client.upload(offer, session_id=SessionId("capture-1"), key=KEY) as second:
                require(await second.contains([digest]) == [True], "what the first lane wrote is not known")
            try:
                await first.contains([digest])
            except ConnectionFailedError:
                pass
            else:
                raise AssertionError("two lanes hold the lock")


async def check_an_upload_needs_its_key(rig: Rig) -> None:
    """A wrong key, or a session that is no capture, cannot write."""
    async with serving(rig) as scene, _capture(scene) as (store, client, offer):
        for key, session_id in ((bytes(32), SessionId("capture-1")), (KEY, SESSION)):
            try:
                async with client.upload(offer, session_id=session_id, key=key) as lane:
                    await lane.contains([digest_of(b"")])
            except OgcastError:
                continue
            raise AssertionError("an upload was allowed")
        require(store.appended == [], "something was stored")


CAPTURE_CHECKS: tuple[Check, ...] = (
    check_an_upload_arrives,
    check_a_bad_chunk_is_not_stored,
    check_an_upload_goes_on_after_a_broken_lane,
    check_an_upload_needs_its_key,
)
