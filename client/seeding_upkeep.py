"""What `ogcast seed` does beside seeding: shows who seeds, ends them, starts one in the background."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from client.background import Heritage, start_seeder
from client.cache import asked_of, find_cache, open_cache
from client.giving import Wish
from client.manifests import checked_manifest
from client.run import Run, in_thread
from client.seeders import SeederNote, find_seeder, running_seeders, seeders_folder, stop
from core.ids import ImageRef
from images.manifest import Manifest

__all__ = ["list_seeders", "seed_in_background", "stop_seeders"]

NOTED_S = 2.0
"""What a process in the background may take to begin, as a rule some tenths; a slower one goes on all the same."""
NOTED_EVERY_S = 0.02
_HAS_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


def list_seeders(run: Run) -> Mapping[str, Any]:
    """Fields of `done`: the processes of this machine that give images."""
    notes = running_seeders(seeders_folder(run.settings.state_path))
    lines = [
        f"{note.image:<32} {note.options:<14} process {note.pid}, since {note.began}, {note.holds}" for note in notes
    ]
    return {
        "command": "seed",
        "seeders": [msgspec.to_builtins(note) for note in notes],
        "summary": "\n".join(lines) or "nothing is given to others by this machine",
    }


async def stop_seeders(run: Run, name: str | None) -> Mapping[str, Any]:
    """End the seeders of an image (of all its versions if none is named), or all. None running is no error."""
    folder = seeders_folder(run.settings.state_path)
    notes = running_seeders(folder)
    if name is not None:
        ref = ImageRef.parse(name)
        notes = [note for note in notes if _is_of(note, ref)]

    def end() -> list[SeederNote]:
        return [note for note in notes if not stop(folder, note)]

    killed = await in_thread(lambda _: end())
    for note in killed:
        run.warning(f"process {note.pid} did not end by itself and was killed")
    images = [note.image for note in notes]
    return {
        "command": "seed",
        "stopped": images,
        "killed": [note.image for note in killed],
        "summary": f"no longer given: {', '.join(images)}" if images else "nothing was given",
    }


async def seed_in_background(run: Run, ref: ImageRef, wish: Wish, *, cache: Path | None) -> Mapping[str, Any]:
    """Start a seeder of what the CACHE holds, unless one gives it. NotFoundError if that is nothing."""
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store, asked_of(directory), store.pin(ref) as pinned:
        manifest = checked_manifest(pinned.data, public_key=run.settings.public_key, asked=ref)
    pid, already = start_seeder(run, manifest, wish.options, Heritage(cache=directory))
    if not already:
        await _noted(run, manifest, pid)
    return {
        "command": "seed",
        "image": str(manifest.ref),
        "pid": pid,
        "options": wish.options,
        "already": already,
        "summary": f"{manifest.ref} is given to others by process {pid}{' already' if already else ''}",
    }


async def _noted(run: Run, manifest: Manifest, pid: int) -> None:
    """Wait until others can see that the process gives, or it has ended, NOTED_S at most: the same command right after
    this one is to find it."""
    folder = seeders_folder(run.settings.state_path)
    with contextlib.suppress(TimeoutError, ChildProcessError):
        async with asyncio.timeout(NOTED_S):
            while os.waitid(os.P_PID, pid, _HAS_ENDED) is None:  # noqa: ASYNC222 - it only looks
                note = find_seeder(folder, manifest.ref, manifest.root)
                if note is not None and note.pid == pid:
                    return
                await asyncio.sleep(NOTED_EVERY_S)


def _is_of(note: SeederNote, ref: ImageRef) -> bool:
    image = ImageRef.parse(note.image)
    return image.name == ref.name and ref.version in (None, image.version)
