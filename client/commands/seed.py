"""ogcast seed NAME: give an image of the CACHE to others, or end that."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from client.commands.options import CacheOption
from client.run import Options, Run, execute
from core.errors import UsageError
from core.ids import ImageRef

__all__ = ["HELP", "command"]

HELP = """Give an image that the CACHE holds to other clients, without fetching anything.

Without NAME, shows which images this machine gives. TORRENT methods go on giving in the background by themselves.

\b
Examples:
  ogcast --config client.toml seed classroom
  ogcast --config client.toml seed classroom --mode peer --seconds 600 --background
  ogcast --config client.toml seed
  ogcast --config client.toml seed --stop
"""

SECONDS_MAX = 30 * 86_400


class Mode(enum.StrEnum):
    """Values of --mode."""

    seeder = "seeder"
    peer = "peer"


def command(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Image: name, or name@version.")] = None,
    mode: Annotated[
        Mode, typer.Option("--mode", help="seeder: until it is stopped. peer: until nobody lacks anything any more.")
    ] = Mode.seeder,
    seconds: Annotated[
        int | None,
        typer.Option(
            "--seconds", min=0, max=SECONDS_MAX, help="How long at most. Default: no end; for a peer, the repository's."
        ),
    ] = None,
    cache: CacheOption = None,
    background: Annotated[
        bool, typer.Option("--background", help="Return at once; a process of its own gives.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the process that gives NAME, or all of them.")] = False,
    options: Annotated[str | None, typer.Option("--options", hidden=True)] = None,
    detached: Annotated[Path | None, typer.Option("--detached", hidden=True)] = None,
    inherit: Annotated[int | None, typer.Option("--inherit", hidden=True)] = None,
    target: Annotated[str | None, typer.Option("--target", hidden=True)] = None,
) -> None:
    """Seed; see HELP."""
    given: Options = context.obj
    log = "" if detached is None else str(detached)
    inherited = b"" if inherit is None else _read(inherit)

    async def main(run: Run) -> Mapping[str, Any]:
        from client import giving, seeding, seeding_upkeep

        wish = giving.Wish(mode=mode, seconds=seconds) if options is None else giving.Wish.parse(options)

        if stop:
            return await seeding_upkeep.stop_seeders(run, name)
        if name is None:
            return seeding_upkeep.list_seeders(run)
        ref = ImageRef.parse(name)
        if inherit is not None or target is not None:
            return await seeding.seed_from_memory(run, ref, wish, inherited=inherited, target=target, log=log)
        if background:
            return await seeding_upkeep.seed_in_background(run, ref, wish, cache=cache)
        wait_s = 0.0 if detached is None else seeding.IMAGE_WAIT_S
        return await seeding.seed_from_cache(run, ref, wish, cache=cache, wait_s=wait_s, log=log)

    if stop and background:
        raise UsageError("--stop and --background at once", hint="say one of them")
    if detached is not None:
        os.chdir("/")  # keeps no file system from being unmounted but the CACHE
    execute(given, main)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as memory:
        return memory.read()
