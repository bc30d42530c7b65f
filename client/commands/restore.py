"""ogcast restore NAME TARGET: write an image to a partition, disk or file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import typer

from client import early
from client.commands.options import (
    CacheOption,
    DiscardOption,
    FallbackOption,
    ImageArgument,
    MethodOption,
    ProtocolOption,
    SeedOption,
    TargetArgument,
    Verify,
    VerifyOption,
)
from client.run import Options, Run, execute
from core.ids import ImageRef
from transports.methods import AUTO, Target, parse_method

__all__ = ["HELP", "command"]

HELP = """Write an image to a block device or file.

A DIRECT method takes it from the repository, a CACHE method from the CACHE, where `update-cache` has put it.

\b
Examples:
  ogcast --config client.toml restore classroom /dev/sda2
  ogcast --config client.toml restore classroom@3 disk.img --verify full
  ogcast --config client.toml restore classroom /dev/sda2 --method UNICAST-CACHE
"""


def command(
    context: typer.Context,
    name: ImageArgument,
    target: TargetArgument,
    method: MethodOption = None,
    options: ProtocolOption = "",
    fallback: FallbackOption = True,
    seed: SeedOption = None,
    cache: CacheOption = None,
    verify: VerifyOption = Verify.none,
    discard: DiscardOption = False,
) -> None:
    """Restore; see HELP."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        ref = ImageRef.parse(name)
        if method is None or method.strip().upper() == AUTO or parse_method(method).target is Target.DIRECT:
            from client.control import ControlClient

            async with ControlClient(run.settings) as control:
                # the first request goes out before the heavy imports
                data = await asyncio.to_thread(early.manifest, ref) or await control.manifest(ref)
                from client.direct import restore_direct

                return await restore_direct(
                    run,
                    control,
                    ref,
                    data,
                    target,
                    method=method,
                    options=options,
                    discard=discard,
                    verify=verify,
                    fallback=fallback,
                    seed=run.settings.seed if seed is None else seed,
                )
        from client.deployment import restore_from_cache

        return await restore_from_cache(
            run,
            ref,
            target,
            method=method,
            options=options,
            cache=cache,
            discard=discard,
            verify=verify,
            fallback=fallback,
        )

    execute(given, main)
