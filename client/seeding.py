"""Seeding: give an image to others, out of the CACHE, of memory that was handed over, or of a target."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.cache import asked_of, find_cache, open_cache
from client.control import ControlClient
from client.giving import Seeder, Wish
from client.manifests import checked_manifest
from client.proven import ProvenChunks
from client.run import Run
from client.target_reader import TargetReader
from core.errors import NotFoundError, OgcastError
from core.ids import Digest, ImageRef
from images.manifest import Manifest
from images.repository import Repository

__all__ = ["IMAGE_WAIT_S", "seed_from_cache", "seed_from_memory"]

IMAGE_WAIT_S = 60.0
"""What a command may take from the last chunk until the image is in the CACHE: one fsync."""
IMAGE_LOOK_EVERY_S = 0.05


async def seed_from_cache(
    run: Run, ref: ImageRef, wish: Wish, *, cache: Path | None, wait_s: float = 0.0, log: str = ""
) -> Mapping[str, Any]:
    """Give what the CACHE holds of an image, until the end of `Seeder.perform`.

    `wait_s` is how long to wait for the image: a command that fills the CACHE starts its seeder while it does.
    """
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store:
        with asked_of(directory):
            data = await _manifest(store, ref, wait_s=wait_s)
        manifest = checked_manifest(data, public_key=run.settings.public_key, asked=ref)
        proven = ProvenChunks(store, manifest, on_damaged=lambda digest: _tell_damaged(run, manifest, digest))
        seeder = Seeder(
            run=run,
            manifest=manifest,
            wish=wish,
            chunks=proven,
            holds=str(directory),
            log=log,
            over=lambda: _removed(store, manifest.ref, directory),
        )
        return await seeder.perform()


async def seed_from_memory(
    run: Run,
    ref: ImageRef,
    wish: Wish,
    *,
    inherited: bytes,
    target: str | None,
    log: str = "",
) -> Mapping[str, Any]:
    """Give what another process handed over, and what a target holds that it restored, if one is named."""
    async with ControlClient(run.settings) as control:
        data = await control.manifest(ref)
    manifest = checked_manifest(data, public_key=run.settings.public_key, asked=ref)
    reader = None if target is None else TargetReader(target, manifest)
    try:
        seeder = Seeder(
            run=run,
            manifest=manifest,
            wish=wish,
            chunks=reader,
            inherited=inherited,
            holds=target or "memory",
            log=log,
        )
        return await seeder.perform()
    finally:
        if reader is not None:
            reader.close()


async def _manifest(store: Repository, ref: ImageRef, *, wait_s: float) -> bytes:
    """The manifest file of an image of the CACHE, when it is there."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with store.pin(ref) as pinned:
                return pinned.data
        except NotFoundError:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(IMAGE_LOOK_EVERY_S)


def _tell_damaged(run: Run, manifest: Manifest, digest: Digest) -> None:
    run.warning(
        f"chunk {digest.hex()[:16]}… of {manifest.ref} is damaged in the CACHE and not given; "
        "`ogcast cache verify --mend` fetches it again"
    )


def _removed(store: Repository, ref: ImageRef, directory: Path) -> str | None:
    try:
        store.find(ref)
    except NotFoundError:
        return f"{ref} was removed from the CACHE {directory}"
    except OgcastError as error:
        return f"the CACHE cannot be read: {error}"
    return None
