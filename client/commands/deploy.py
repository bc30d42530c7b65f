"""ogcast deploy NAME TARGET: update the CACHE, then restore from it; with a DIRECT method, restore directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.commands.ordering import ordering
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


def deploy(given: Options, order: Order) -> None:
    """Return when it is done; see `client.run.execute` for how it ends otherwise."""

    async def main(run: Run) -> Mapping[str, Any]:
        from client.control import ControlClient

        ref = ImageRef.parse(order.name)
        async with ControlClient(run.settings) as control:
            info = await control.image(ref)
            from client.deployment import deploy

            return await deploy(run, control, info, order)

    execute(given, main)


command = ordering(deploy)
