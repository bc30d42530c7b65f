"""What every transport must do when chunks are fetched. Each check raises AssertionError with a text."""

from __future__ import annotations

import asyncio
import contextlib

from core.errors import AuthenticationError, ChunkError, ConnectionFailedError, ImageError, PathError, RemoteError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import Delivery, Offer
from transports.conformance.scene import KEY, SESSION, Check, Rig, check_good, require, serving, small_arena, take_all

__all__ = ["CHECKS"]


async def check_delivers_every_chunk_once(rig: Rig) -> None:
    """Everything wanted comes, once, and every slot is free afterwards."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws)), small_arena()
        async with scene.fetch(want, arena) as incoming:
            taken = await take_all(scene, incoming, want)
        require(sorted(taken) == list(range(len(scene.raws))), f"delivered {sorted(taken)}")
        require(arena.free == arena.slots, f"{arena.slots - arena.free} slots were not given back")
        require(scene.server.counters()["chunks_sent"] >= len(scene.raws), "chunks_sent is not counted")
        require(scene.server.counters()["bytes_sent"] > 0, "bytes_sent is not counted")


async def check_one_slot_is_enough(rig: Rig) -> None:
    """An arena of one slot slows a transport down and no more."""
    async with serving(rig, chunks=12) as scene:
        want, arena = WantMap(12), small_arena(1)
        async with scene.fetch(want, arena) as incoming:
            taken = await take_all(scene, incoming, want)
        require(sorted(taken) == list(range(12)), f"delivered {sorted(taken)}")


async def check_delivers_only_what_is_wanted(rig: Rig) -> None:
    """Chunks that are not in the want-map do not come."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws), full=False), small_arena()
        wanted = [0, 3, 4, 17, len(scene.raws) - 1]
        for chunk in wanted:
            want.add(chunk)
        async with scene.fetch(want, arena) as incoming:
            taken = await take_all(scene, incoming, want)
        require(sorted(taken) == wanted, f"delivered {sorted(taken)}")


async def check_empty_want_map_ends_at_once(rig: Rig) -> None:
    """Nothing wanted: nothing comes, and no error."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws), full=False), small_arena()
        async with scene.fetch(want, arena) as incoming:
            require(await take_all(scene, incoming, want) == [], "something came")
        require(arena.free == arena.slots, "slots were not given back")


async def check_chunks_discarded_midway_stop_coming(rig: Rig) -> None:
    """What another transport brought meanwhile is not asked for any more, and the transfer ends."""
    async with serving(rig, chunks=200) as scene:
        want, arena = WantMap(200), small_arena(4)
        taken: list[int] = []
        async with scene.fetch(want, arena) as incoming:
            async for delivery in incoming:
                taken.append(delivery.chunk)
                want.discard(delivery.chunk)
                if len(taken) == 5:
                    want.discard_all(range(200))
                incoming.accept(delivery)
                delivery.release()
        # What was on its way when the map changed may still come.
        require(len(taken) <= 5 + arena.slots, f"{len(taken)} chunks came")
        require(arena.free == arena.slots, "slots were not given back")


async def check_a_rejected_chunk_comes_again(rig: Rig) -> None:
    """A chunk that was refused once is delivered once more."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws)), small_arena()
        seen: dict[int, int] = {}
        async with scene.fetch(want, arena) as incoming:
            async for delivery in incoming:
                seen[delivery.chunk] = seen.get(delivery.chunk, 0) + 1
                if delivery.chunk == 7 and seen[7] == 1:
                    incoming.reject(delivery, "made up")
                else:
                    want.discard(delivery.chunk)
                    incoming.accept(delivery)
                delivery.release()
        require(seen.get(7) == 2, f"chunk 7 came {seen.get(7)} times")
        require(len(seen) == len(scene.raws), "chunks are missing")


async def check_a_chunk_always_rejected_ends_with_its_name(rig: Rig) -> None:
    """Nobody asks for ever: the error names the chunk, and everything else arrived. A way that others can spoil may
    be left instead (PathError), whatever is still wanted."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws)), small_arena()
        try:
            async with scene.fetch(want, arena) as incoming:
                async for delivery in incoming:
                    if delivery.chunk == 7:
                        incoming.reject(delivery, "made up")
                    else:
                        want.discard(delivery.chunk)
                        incoming.accept(delivery)
                    delivery.release()
        except (ChunkError, PathError) as error:
            require("chunk 7" in str(error), f"the error does not name the chunk: {error}")
            left = isinstance(error, PathError)
        else:
            raise AssertionError("no error")
        require(7 in want and (left or len(want) == 1), f"still wanted: {list(want)}")
        require(arena.free == arena.slots, "slots were not given back")


async def check_an_unreadable_chunk_is_named(rig: Rig) -> None:
    """A chunk the repository lost ends the transfer with an ImageError, after everything else came."""
    async with serving(rig) as scene:
        scene.store.lose(scene.manifest.digest(9))
        want, arena = WantMap(len(scene.raws)), small_arena()
        try:
            async with scene.fetch(want, arena) as incoming:
                await take_all(scene, incoming, want)
        except ImageError as error:
            require("9" in str(error), f"the error does not name the chunk: {error}")
        else:
            raise AssertionError("no error")
        require(list(want) == [9], f"still wanted: {list(want)}")


async def check_leaving_midway_releases_everything(rig: Rig) -> None:
    """Leaving the context gives every slot back that no delivery holds; those come back by release."""
    async with serving(rig, chunks=200) as scene:
        want, arena = WantMap(200), small_arena()
        async with scene.fetch(want, arena) as incoming:
            kept = await anext(incoming)
        require(arena.free == arena.slots - 1, f"{arena.slots - arena.free} slots are held")
        check_good(scene, kept)
        kept.release()
        kept.release()
        require(arena.free == arena.slots, "a slot was not given back")
        async with scene.fetch(want, arena) as incoming:
            taken = await take_all(scene, incoming, want)
        require(len(taken) == 200, "the second transfer is not complete")


async def check_cancelling_the_reader_releases_everything(rig: Rig) -> None:
    """A task cancelled while it waits for a delivery leaves nothing behind."""
    async with serving(rig, chunks=60) as scene:
        want, arena = WantMap(60), small_arena(2)
        held: list[Delivery] = []
        full = asyncio.Event()

        async def reader() -> None:
            async with scene.fetch(want, arena) as incoming:
                async for delivery in incoming:
                    held.append(delivery)
                    if len(held) == arena.slots:
                        full.set()

        task = asyncio.ensure_future(reader())
        await full.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for delivery in held:
            delivery.release()
        require(arena.free == arena.slots, "slots were not given back")


async def check_a_wrong_key_is_refused(rig: Rig) -> None:
    """Neither a wrong key nor an unknown session gets a byte of the image."""
    async with serving(rig) as scene:
        for key, session_id in ((bytes(32), SESSION), (KEY, SessionId("nobody"))):
            want, arena = WantMap(len(scene.raws)), small_arena()
            try:
                async with scene.fetch(want, arena, key=key, session_id=session_id) as incoming:
                    await take_all(scene, incoming, want)
            except AuthenticationError:
                pass
            else:
                raise AssertionError("the session was not refused")
            require(len(want) == len(scene.raws), "chunks were sent")
            require(arena.free == arena.slots, "slots were not given back")


async def check_closing_the_session_ends_the_transfer(rig: Rig) -> None:
    """close_session midway raises a RemoteError at the client, with the reason in its text."""
    async with serving(rig, chunks=400) as scene:
        want, arena = WantMap(400), small_arena(2)
        try:
            async with scene.fetch(want, arena) as incoming:
                async for delivery in incoming:
                    want.discard(delivery.chunk)
                    incoming.accept(delivery)
                    delivery.release()
                    if len(want) == 390:
                        scene.server.close_session(SESSION, "closed by the operator")
                        scene.server.close_session(SESSION, "repeating is harmless")
        except ConnectionFailedError as error:
            raise AssertionError("a closed session looks like a broken connection") from error
        except RemoteError as error:
            require("closed by the operator" in str(error), f"the reason is lost: {error}")
        else:
            raise AssertionError("the transfer went on")
        require(arena.free == arena.slots, "slots were not given back")


async def check_stopping_the_server_tells_clients(rig: Rig) -> None:
    """A server that stops makes clients raise ConnectionFailedError: they may come back."""
    async with serving(rig, chunks=400) as scene:
        want, arena = WantMap(400), small_arena(2)
        try:
            async with scene.fetch(want, arena) as incoming:
                async for delivery in incoming:
                    want.discard(delivery.chunk)
                    incoming.accept(delivery)
                    delivery.release()
                    if len(want) == 390:
                        await scene.server.stop(grace_s=0.5)
        except ConnectionFailedError:
            pass
        else:
            raise AssertionError("the transfer went on")
        require(0 < len(want) < 400, "nothing came before")
        require(arena.free == arena.slots, "slots were not given back")


async def check_two_sessions_at_once(rig: Rig) -> None:
    """Sessions do not disturb each other, and one want-map may be served twice at once."""
    async with serving(rig) as scene:
        other = SessionId("conformance-2")
        offer = scene.open(other)
        wants = [WantMap(len(scene.raws)) for _ in range(2)]

        async def one(session_id: SessionId, offer: Offer, want: WantMap) -> int:
            arena = small_arena(3)
            fetched = scene.client.fetch(
                offer, session_id=session_id, key=KEY, manifest=scene.manifest, want=want, arena=arena
            )
            async with fetched as incoming:
                return len(await take_all(scene, incoming, want))

        counts = await asyncio.gather(one(SESSION, scene.offer, wants[0]), one(other, offer, wants[1]))
        require(list(counts) == [len(scene.raws)] * 2, f"{counts} chunks came")


async def check_two_transfers_share_an_arena(rig: Rig) -> None:
    """A transport waits for slots that something else holds, and goes on when they come back."""
    async with serving(rig) as scene:
        want, arena = WantMap(len(scene.raws)), small_arena(3)
        others = [await arena.acquire() for _ in range(3)]
        async with scene.fetch(want, arena) as incoming:
            first = asyncio.ensure_future(anext(incoming))
            await asyncio.sleep(0)
            others.pop().release()
            delivery = await first
            want.discard(delivery.chunk)
            incoming.accept(delivery)
            delivery.release()
            taken = await take_all(scene, incoming, want)
        require(len(taken) == len(scene.raws) - 1, f"{len(taken)} chunks came")
        require(arena.free == 1, "slots were not given back")


async def check_nobody_there_is_a_clear_error(rig: Rig) -> None:
    """A server that has gone: ConnectionFailedError, at once."""
    async with serving(rig) as scene:
        await scene.server.stop(grace_s=0)
        want, arena = WantMap(len(scene.raws)), small_arena()
        try:
            async with scene.fetch(want, arena) as incoming:
                await take_all(scene, incoming, want)
        except ConnectionFailedError:
            pass
        else:
            raise AssertionError("no error")
        require(arena.free == arena.slots, "slots were not given back")


CHECKS: tuple[Check, ...] = (
    check_delivers_every_chunk_once,
    check_one_slot_is_enough,
    check_delivers_only_what_is_wanted,
    check_empty_want_map_ends_at_once,
    check_chunks_discarded_midway_stop_coming,
    check_a_rejected_chunk_comes_again,
    check_a_chunk_always_rejected_ends_with_its_name,
    check_an_unreadable_chunk_is_named,
    check_leaving_midway_releases_everything,
    check_cancelling_the_reader_releases_everything,
    check_a_wrong_key_is_refused,
    check_closing_the_session_ends_the_transfer,
    check_stopping_the_server_tells_clients,
    check_two_sessions_at_once,
    check_two_transfers_share_an_arena,
    check_nobody_there_is_a_clear_error,
)
