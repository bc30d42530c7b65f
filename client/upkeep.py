"""What the `cache` commands do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from client.cache import asked_of, find_cache, open_cache
from client.control import ControlClient
from client.deployment import update_cache
from client.run import Run, in_thread
from core.errors import ChunkError, NotFoundError
from core.ids import ImageRef
from core.units import human_bytes
from images.repository import Repository
from images.store.verify import VerifyReport

__all__ = ["collect_garbage", "list_cache", "remove_from_cache", "verify_cache"]


async def list_cache(run: Run, cache: Path | None) -> Mapping[str, Any]:
    """Images of the CACHE."""
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store:
        images = [_described(store, entry.ref) for entry in store.images()]
        stats = store.stats()
    lines = [f"{row['image']:<32} {human_bytes(row['image_bytes']):>12}  {row['fs_type']}" for row in images]
    lines.append(f"{len(images)} images, {human_bytes(stats.stored_bytes)} in {directory}")
    return {
        "command": "cache ls",
        "cache": str(directory),
        "images": images,
        "stored_bytes": stats.stored_bytes,
        "summary": "\n".join(lines),
    }


async def verify_cache(run: Run, name: str | None, cache: Path | None, *, mend: bool) -> Mapping[str, Any]:
    """Hash everything; ChunkError (code 5) if something is damaged that was not mended."""
    refs = None if name is None else [ImageRef.parse(name)]
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store:
        with asked_of(directory):
            report = await in_thread(lambda _: store.verify(refs=refs, public_key=run.settings.public_key))
        for chunk in report.damaged_chunks:
            fields = {"digest": chunk.digest.hex(), "pack": chunk.pack, "offset": chunk.offset}
            run.event("damaged-chunk", {**fields, "message": chunk.reason})
        for image in report.damaged_images:
            run.event("damaged-image", {"image": str(image.ref), "message": image.reason})
        damaged = [image.ref for image in report.damaged_images]
        if report.damaged_chunks and mend:
            # a chunk that is forgotten counts as missing, and the update fetches what is missing
            await in_thread(lambda _: store.forget([chunk.digest for chunk in report.damaged_chunks]))
    mended, gone = await _mend(run, damaged, directory) if mend else (0, [])
    if gone:
        # what they share with others may have come with these
        with open_cache(directory, create=False) as store:
            left = await in_thread(lambda _: store.verify(refs=gone, public_key=run.settings.public_key))
        if not left.ok:
            names = ", ".join(str(image.ref) for image in left.damaged_images)
            raise ChunkError(
                f"the repository does not have {names} any more, of which the CACHE {directory} has {_faults(left)}",
                hint="the rest is mended; `ogcast cache rm NAME@VERSION` removes what nobody has",
            )
    if not report.ok and not mend:
        raise ChunkError(
            f"the CACHE {directory} has {_faults(report)}",
            hint="`ogcast cache verify --mend` fetches them again from the repository",
        )
    return {
        "command": "cache verify",
        "cache": str(directory),
        "chunks": report.chunks_checked,
        "bytes_checked": report.bytes_checked,
        "damaged_chunks": len(report.damaged_chunks),
        "damaged_images": [str(ref) for ref in damaged],
        "bytes_fetched": mended,
        "seconds": round(run.seconds, 3),
        "summary": (
            f"{report.chunks_checked} chunks, {human_bytes(report.bytes_checked)}: "
            + ("all as they should be" if report.ok else f"{_faults(report)}, mended")
        ),
    }


def _faults(report: VerifyReport) -> str:
    """What a verification found, in words; empty if nothing."""
    missing = sum(chunk.pack is None for chunk in report.damaged_chunks)
    found = (
        (len(report.damaged_chunks) - missing, "damaged chunk(s)"),
        (missing, "missing chunk(s)"),
        (sum(not image.chunks for image in report.damaged_images), "unreadable manifest(s)"),
    )
    return ", ".join(f"{count} {what}" for count, what in found if count)


async def _mend(run: Run, damaged: Sequence[ImageRef], directory: Path) -> tuple[int, list[ImageRef]]:
    """Fetch what the damaged images lack: stored bytes fetched, and the images that the repository does not have."""
    fetched, gone = 0, []
    async with ControlClient(run.settings) as control:
        for ref in damaged:
            try:
                info = await control.image(ref)
            except NotFoundError:
                gone.append(ref)
                continue
            done = await update_cache(run, control, info, method=None, options="", cache=directory)
            fetched += int(done["bytes_received"])
    return fetched, gone


async def remove_from_cache(run: Run, name: str, cache: Path | None) -> Mapping[str, Any]:
    """Take an image out of sight."""
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store, asked_of(directory):
        entry = store.remove(ImageRef.parse(name))
    return {
        "command": "cache rm",
        "image": str(entry.ref),
        "summary": f"{entry.ref} is removed; `ogcast cache gc` frees its room",
    }


async def collect_garbage(run: Run, cache: Path | None, *, dry_run: bool) -> Mapping[str, Any]:
    """Free room."""
    directory = find_cache(cache, run.settings.cache)
    with open_cache(directory, create=False) as store:
        report = await in_thread(lambda _: store.gc(dry_run=dry_run, public_key=run.settings.public_key))
    verb = "would be freed" if dry_run else "are free again"
    return {
        "command": "cache gc",
        "cache": str(directory),
        "dry_run": dry_run,
        "chunks_removed": report.chunks_removed,
        "bytes_freed": report.bytes_freed,
        "summary": f"{human_bytes(report.bytes_freed)} {verb}",
    }


def _described(store: Repository, ref: ImageRef) -> dict[str, Any]:
    with store.pin(ref) as pinned:
        manifest = pinned.manifest
        return {
            "image": str(ref),
            "image_bytes": manifest.size,
            "data_bytes": manifest.data_bytes,
            "fs_type": manifest.fs.type,
            "created": manifest.created,
            "complete": store.missing(manifest) == 0,
        }
