"""What `ogcast seed` does beside seeding: shows who seeds, ends them, starts one in the background."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from client.background import Heritage, start_seeder
from client.cache import asked_of, find_cache, open_cache
from client.giving import Wish
from client.manifests import checked_manifest
from client.run import Run, in_thread
from client.seeders import SeederNote, running_seeders, seeders_folder, stop
from core.ids import ImageRef

__all__ = ["list_seeders", "seed_in_background", "stop_seeders"]


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


def seed_in_background(run: Run, ref: ImageRef, wish: Wish, *, cache: Path | None) -> Mapping[str, Any]:
    """Start a seeder of what the CACHE holds. NotFoundError if that is nothing."""
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store, asked_of(directory), store.pin(ref) as pinned:
        manifest = checked_manifest(pinned.data, public_key=run.settings.public_key, asked=ref)
    pid = start_seeder(run, manifest, wish.options, Heritage(cache=directory))
    return {
        "command": "seed",
        "image": str(manifest.ref),
        "pid": pid,
        "options": wish.options,
        "summary": f"{manifest.ref} is given to others by process {pid}",
    }


def _is_of(note: SeederNote, ref: ImageRef) -> bool:
    image = ImageRef.parse(note.image)
    return image.name == ref.name and ref.version in (None, image.version)
