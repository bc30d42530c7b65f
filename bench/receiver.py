"""A client that only receives, or receives and verifies: what a server can give, without targets and start-up.

`python -m bench.receiver CONFIG URL NAME receive|verify` prints `ready` when its session is open, waits for a line on
standard input, takes the whole image over the repository's first offer, and prints `done`.
It uses the client's own control, transport and codec; only the sink and the journal are missing.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client.budget import Budget, budget_for
from client.config import load_settings
from client.control import ControlClient
from client.manifests import checked_manifest
from core.arena import Arena
from core.errors import TransferError
from core.ids import ChunkIndex, ImageRef, SessionId
from core.service import loop_factory
from core.wantmap import WantMap
from images import codec
from images.manifest import Manifest
from transports.base import ClientContext, Delivery, Incoming, Offer
from transports.control import SessionRequest
from transports.registry import by_name, client_offer, load_client

__all__ = ["DONE", "GO", "READY", "main"]

READY = "ready"
GO = "go\n"
DONE = "done"
METHOD = "UNICAST-DIRECT"


async def _take(config: Path, url: str, name: str, *, verify: bool) -> None:
    settings = load_settings(config, repo=url, interface=None)
    async with ControlClient(settings) as control:
        manifest = checked_manifest(
            await control.manifest(ImageRef(name)), public_key=settings.public_key, asked=ImageRef(name)
        )
        session = await control.open_session(
            SessionRequest(image=str(manifest.ref), method=METHOD, host="bench", want=manifest.chunk_count)
        )
        offer = client_offer(Offer(transport=one.transport, parameters=one.parameters) for one in session.offers)
        if offer is None:
            raise TransferError("no offer this client has a transport for")
        context = ClientContext(repository_host=settings.host, interface=None, state_dir=None, on_event=lambda *_: None)
        transport = load_client(by_name(offer.transport))(context)
        budget = budget_for(manifest.chunk_size)
        frames = Arena(slot_bytes=budget.frame_bytes, slots=budget.frame_slots)
        want = WantMap(manifest.chunk_count)
        print(READY, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        lane = transport.fetch(
            offer, session_id=SessionId(session.session), key=session.key, manifest=manifest, want=want, arena=frames
        )
        async with lane as incoming:
            await (_verify(incoming, manifest, want, budget) if verify else _receive(incoming, want))
        print(DONE if not len(want) else "incomplete", flush=True)
        await control.close_session(session.session)
    if len(want):
        raise TransferError(f"{len(want)} chunks did not come")


async def _receive(incoming: Incoming, want: WantMap) -> None:
    async for delivery in incoming:
        _settle(incoming, delivery, want)


async def _verify(incoming: Incoming, manifest: Manifest, want: WantMap, budget: Budget) -> None:
    raw = Arena(slot_bytes=budget.raw_bytes, slots=budget.workers)

    def examine(delivery: Delivery, content: memoryview) -> None:
        if delivery.prepare is not None:
            delivery.prepare()
        codec.decode_into(delivery.frame, delivery.encoding, content)
        codec.verify(content, manifest.digest(delivery.chunk))

    async def one(delivery: Delivery, pool: ThreadPoolExecutor) -> None:
        slot = await raw.acquire()
        content = slot.view[: manifest.raw_length(delivery.chunk)]
        await asyncio.get_running_loop().run_in_executor(pool, examine, delivery, content)
        slot.release()
        _settle(incoming, delivery, want)

    with ThreadPoolExecutor(budget.workers) as pool:
        async with asyncio.TaskGroup() as hands:
            async for delivery in incoming:
                hands.create_task(one(delivery, pool))


def _settle(incoming: Incoming, delivery: Delivery, want: WantMap) -> None:
    want.discard(ChunkIndex(delivery.chunk))
    incoming.accept(delivery)
    delivery.release()


def main() -> None:
    """Entry point."""
    config, url, name, mode = sys.argv[1:]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:  # as the client does
        runner.run(_take(Path(config), url, name, verify=mode == "verify"))


if __name__ == "__main__":
    main()
