"""ogcast deploy NAME TARGET: update the CACHE, then restore from it; with a DIRECT method, restore directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

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
from client.order import Order
from client.run import Options, Run, execute
from core.ids import ImageRef

__all__ = ["HELP", "command"]

HELP = """Update the CACHE, then restore from it. Never changes the method: what cannot be done is an error.

\b
Examples:
  ogcast --config client.toml deploy classroom /dev/sda2
  ogcast --config client.toml deploy classroom /dev/sda2 --method UNICAST-CACHE --cache /mnt/cache
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
    """Deploy; see HELP."""
    given: Options = context.obj

    order = Order(
        name=name,
        target=target,
        method=method,
        options=options,
        fallback=fallback,
        seed=seed,
        cache=None if cache is None else str(cache),
        verify=verify,
        discard=discard,
    )

    async def main(run: Run) -> Mapping[str, Any]:
        from client.control import ControlClient

        ref = ImageRef.parse(order.name)
        async with ControlClient(run.settings) as control:
            info = await control.image(ref)
            from client.deployment import deploy

            return await deploy(run, control, info, order)

    execute(given, main)
