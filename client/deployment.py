"""What update-cache, deploy and a restore from the CACHE do, put together from their parts.

Imported after the first request is out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.background import Heritage, go_on_giving
from client.cache import asked_of, find_cache, open_cache
from client.control import ControlClient
from client.direct import chosen_method, perform_direct, remote_of, restore_of, seeds_of
from client.manifests import checked_manifest
from client.order import Order
from client.preflight import OpenTarget, open_target
from client.proven import ProvenChunks
from client.restoring import needs_of
from client.run import Run
from client.sources.local import LocalSource
from client.sources.remote import RemoteSource
from client.updating import Update
from core.errors import NoCacheError, UsageError
from core.ids import ImageRef
from images.manifest import Manifest
from images.repository import PinnedManifest, Repository
from transports import registry
from transports.control import ImageInfo
from transports.methods import Method, Target

__all__ = ["cache_method", "deploy", "restore_from_cache", "update_cache"]


async def restore_from_cache(run: Run, ref: ImageRef, order: Order) -> Mapping[str, Any]:
    """Restore what the CACHE holds. No repository is needed unless a chunk there turns out to be damaged."""
    chosen = chosen_method(order.method, Target.CACHE)
    directory = _directory(run, order)
    with open_cache(directory, create=False) as store, _pinned(store, ref, directory) as pinned:
        manifest = checked_manifest(pinned.data, public_key=run.settings.public_key, asked=ref)
        with open_target(order.target, needs_of(manifest)) as opened:
            return await _from_cache(run, store, manifest, opened, chosen, order, command="restore")


async def update_cache(
    run: Run,
    control: ControlClient,
    info: ImageInfo,
    *,
    method: str | None,
    options: str,
    cache: Path | None,
    fallback: bool = True,
    seed: bool = False,
    served: bool = False,
) -> Mapping[str, Any]:
    """Bring the image into the CACHE, or with `served` into the store of a relay. With `seed` a process in the
    background goes on giving it, as the method says."""
    chosen = cache_method(method)
    manifest = await _manifest(run, control, info)
    directory = find_cache(cache, run.settings.cache, served=served)
    with open_cache(directory, create=True) as store:
        update = await _update(run, control, store, directory, manifest, info, chosen, options, fallback, seed)
    return update.result("update-cache", method=str(chosen))


def cache_method(text: str | None) -> Method:
    """The method by which chunks are fetched into a CACHE. UsageError for what is none."""
    chosen = chosen_method(text, Target.CACHE)
    if chosen.target is not Target.CACHE:
        raise UsageError(f"{chosen} does not use the CACHE", hint=f"use --method {chosen.protocol}-CACHE")
    return chosen


async def deploy(run: Run, control: ControlClient, info: ImageInfo, order: Order) -> Mapping[str, Any]:
    """Update the CACHE, then restore from it. The target is checked, and held, before the CACHE is filled.

    Unless the order says not to seed, others are given the image from the moment the CACHE has it.
    """
    chosen = chosen_method(order.method, Target.CACHE)
    instead = _without_cache(run) if chosen.target is Target.CACHE else None
    manifest = await _manifest(run, control, info)
    with open_target(order.target, needs_of(manifest)) as opened:
        cache = None if chosen.target is Target.DIRECT else _cache_of(run, order, instead)
        if cache is None:
            direct = chosen if instead is None else instead
            restore = await perform_direct(run, control, manifest, opened, direct, order)
            return restore.result("deploy", method=str(direct))
        directory, store = cache
        with store:
            seeds = seeds_of(run, order)
            update = await _update(
                run, control, store, directory, manifest, info, chosen, order.options, order.fallback, seeds
            )
            run.stage("cache-ok", f"{manifest.ref} is in the CACHE")
            with store.pin(manifest.ref):
                done = await _from_cache(run, store, manifest, opened, chosen, order, command="deploy")
    return {**done, "update": update.result("update-cache", method=str(chosen))}


def _directory(run: Run, order: Order) -> Path:
    return find_cache(None if order.cache is None else Path(order.cache), run.settings.cache)


def _cache_of(run: Run, order: Order, instead: Method | None) -> tuple[Path, Repository] | None:
    """The CACHE, and its directory; None where there is none and `instead` is to be taken."""
    try:
        directory = _directory(run, order)
        return directory, open_cache(directory, create=True)
    except NoCacheError as error:
        if instead is None:
            raise
        run.warning(f"{error}; taking {instead}, as restore_protocol_not_cache says")
        return None


def _without_cache(run: Run) -> Method | None:
    """What to do where there is no CACHE: OpenGnsys' RESTOREPROTOCOLNOTCACHE; None for NONE."""
    word = run.settings.restore_protocol_not_cache.upper()
    return None if word == "NONE" else Method(protocol=registry.by_protocol(word).protocol, target=Target.DIRECT)


async def _manifest(run: Run, control: ControlClient, info: ImageInfo) -> Manifest:
    """The manifest of exactly the version that was listed, even if a newer one is published meanwhile."""
    ref = ImageRef(info.name, info.version)
    return checked_manifest(await control.manifest(ref), public_key=run.settings.public_key, asked=ref)


async def _update(
    run: Run,
    control: ControlClient,
    store: Repository,
    directory: Path,
    manifest: Manifest,
    info: ImageInfo,
    method: Method,
    options: str,
    fallback: bool,
    seed: bool,
) -> Update:
    remote = remote_of(run, control, method, options, fallback, cache=ProvenChunks(store, manifest))
    run.stage("update-cache", f"{method}: {manifest.ref} into {directory}")
    update = Update(run, store, directory, manifest, info, remote)
    if seed:
        update.on_fetched = lambda: go_on_giving(
            run, manifest, _after(remote, method, options), Heritage(cache=directory)
        )
    await update.perform()
    if update.mended:
        run.notice(f"{update.mended} damaged chunks of the CACHE were fetched again")
    return update


def _after(remote: RemoteSource, method: Method, options: str) -> str | None:
    """The option string of what gives when the CACHE is whole: as the session had it; without a session, because
    nothing was lacking, as the command says."""
    for giver in remote.givers:
        return giver.afterwards()
    mode = options.partition(":")[0].strip().lower()
    gives = not remote.path and mode != "leecher" and registry.by_protocol(method.protocol).capabilities.seeds
    return options.strip() if gives else None


def _pinned(store: Repository, ref: ImageRef, directory: Path) -> PinnedManifest:
    with asked_of(directory):
        return store.pin(ref)


async def _from_cache(
    run: Run, store: Repository, manifest: Manifest, opened: OpenTarget, method: Method, order: Order, *, command: str
) -> Mapping[str, Any]:
    """Restore from the CACHE. A chunk that is damaged there comes from the repository, and the CACHE forgets it."""
    local = LocalSource(store)
    async with ControlClient(run.settings) as control:
        proven = ProvenChunks(store, manifest)
        remote = remote_of(run, control, method, order.options, order.fallback, cache=proven)
        run.stage("restore", f"{method}: {manifest.ref} from the CACHE to {opened.sink.name}")
        restore = restore_of(run, manifest, opened, [local, remote], remote, order)
        try:
            await restore.perform()
        finally:
            if local.damaged:
                await asyncio.to_thread(store.forget, [manifest.digest(chunk) for chunk in local.damaged])
                run.warning(
                    f"{len(local.damaged)} chunks of {manifest.ref} are damaged in the CACHE; "
                    "`ogcast update-cache` fetches them again"
                )
    return restore.result(command, method=str(method))
