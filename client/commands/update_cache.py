"""ogcast update-cache NAME: fill the CACHE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from client.commands.options import (
    CacheOption,
    FallbackOption,
    ImageArgument,
    MethodOption,
    ProtocolOption,
    SeedOption,
)
from client.run import Options, Run, execute
from core.ids import ImageRef

__all__ = ["HELP", "command"]

HELP = """Bring an image into the CACHE, fetching only the chunks it lacks.

\b
Examples:
  ogcast --config client.toml update-cache classroom
  ogcast --config client.toml update-cache classroom@3 --method UNICAST-CACHE --cache /mnt/cache
"""


def command(
    context: typer.Context,
    name: ImageArgument,
    method: MethodOption = None,
    options: ProtocolOption = "",
    fallback: FallbackOption = True,
    seed: SeedOption = None,
    cache: CacheOption = None,
) -> None:
    """Update; see HELP."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.control import ControlClient

        ref = ImageRef.parse(name)
        async with ControlClient(run.settings) as control:
            info = await control.image(ref)
            from client.deployment import update_cache

            return await update_cache(
                run,
                control,
                info,
                method=method,
                options=options,
                cache=cache,
                fallback=fallback,
                seed=run.settings.seed if seed is None else seed,
            )

    execute(given, main)
