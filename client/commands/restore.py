"""ogcast restore NAME TARGET: write an image to a partition, disk or file."""

from __future__ import annotations

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
from client.restore import restore
from client.run import Options

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
    restore(
        given,
        Order(
            name=name,
            target=target,
            method=method,
            options=options,
            fallback=fallback,
            seed=seed,
            cache=None if cache is None else str(cache),
            verify=verify,
            discard=discard,
        ),
    )
