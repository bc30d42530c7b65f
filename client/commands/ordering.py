"""The command lines of what carries out an Order: `restore` and `deploy` take the same arguments."""

from __future__ import annotations

from collections.abc import Callable

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
from client.run import Options

__all__ = ["ordering"]


def ordering(perform: Callable[[Options, Order], None]) -> Callable[..., None]:
    """A command for typer that calls `perform` with what it was given."""

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
        perform(context.obj, order)

    return command
