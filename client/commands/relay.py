"""ogcast relay NAME…: fetch images once, serve them in this subnet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from client.run import Options, Run, execute

__all__ = ["HELP", "command"]

HELP = """Serve images of the repository to a subnet of their own, where groups are not routed.

Fetches NAME… once, serves them on this machine with `repod serve`, and keeps them up to date. Clients of the subnet
use STORE/client.toml, which this command writes; nothing else changes for them.

\b
Examples:
  ogcast --config client.toml relay classroom --store /srv/relay
  ogcast --config client.toml relay classroom win10 --store /srv/relay --serve-interface eth1
"""


def command(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Images: name, or name@version.")],
    store: Annotated[Path, typer.Option("--store", help="Directory for the images; made if it is not there.")],
    method: Annotated[str, typer.Option("--method", help="How they are fetched.")] = "UNICAST-CACHE",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="TCP port to serve on.")] = 8717,
    serve_interface: Annotated[
        str | None, typer.Option("--serve-interface", help="Interface to serve on; else that of --interface, or all.")
    ] = None,
    refresh: Annotated[
        float, typer.Option("--refresh", min=0, help="Seconds between looks for newer versions; 0: never.")
    ] = 60.0,
) -> None:
    """Relay; see HELP."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.relaying import Relay

        relay = Relay(
            run=run,
            names=names,
            store=store.absolute(),
            method=method,
            port=port,
            interface=serve_interface or run.settings.interface,
            refresh_s=refresh,
        )
        return await relay.perform()

    execute(given, main)
