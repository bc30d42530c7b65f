"""ogcast restore: carry out an order, however it was read.

What only transfers need is imported after the first request is out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client import early
from client.order import Order
from client.run import Options, Run, execute
from core.ids import ImageRef
from transports.methods import AUTO, Target, parse_method

__all__ = ["restore", "restore_plain"]


def restore_plain(before: Mapping[str, str | bool], order: Order) -> None:
    """`restore` with what `client.order.read_order` has read."""
    config, repo, interface = (before.get(name) for name in ("config", "repo", "interface"))
    restore(
        Options(
            config=None if config is None else Path(str(config)),
            repo=None if repo is None else str(repo),
            interface=None if interface is None else str(interface),
            json=bool(before.get("json")),
        ),
        order,
    )


def restore(given: Options, order: Order) -> None:
    """Return when it is done; see `client.run.execute` for how it ends otherwise."""

    async def main(run: Run) -> Mapping[str, Any]:
        ref = ImageRef.parse(order.name)
        if _is_direct(order.method):
            return await _restore_direct(run, ref, order)
        from client.deployment import restore_from_cache

        return await restore_from_cache(run, ref, order)

    execute(given, main)


def _is_direct(method: str | None) -> bool:
    return method is None or method.strip().upper() == AUTO or parse_method(method).target is Target.DIRECT


async def _restore_direct(run: Run, ref: ImageRef, order: Order) -> Mapping[str, Any]:
    from client.control import ControlClient

    async with ControlClient(run.settings, asked_since=early.begun_at()) as control:
        data = await asyncio.to_thread(early.manifest, ref) or await control.manifest(ref)
        from client.direct import restore_direct

        return await restore_direct(run, control, ref, data, order)
