"""repod serve: run the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from repod.commands.common import DirArgument

__all__ = ["serve"]


def serve(
    root: DirArgument,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: all of IPv4.", metavar="H")] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port of the control API; 0 takes any free one.", metavar="P")
    ] = None,
    interface: Annotated[str | None, typer.Option(help="Network interface for data lanes.", metavar="IF")] = None,
    advertise: Annotated[
        str | None, typer.Option(help="Name or address to tell clients instead of the one listened on.", metavar="H")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.", metavar="LEVEL")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every setting and where it comes from, and end.")
    ] = False,
) -> None:
    """Serve a repository until stopped (SIGTERM or Ctrl-C). Prints one line when clients are accepted.

    Settings come from DIR/repod.toml, then REPOD_… variables, then these options.

    \b
    Examples:
      repod serve /srv/images
      repod serve /srv/images --host 10.0.0.5 --port 9000
      repod serve /srv/images --print-config
    """
    from repod.layout import Layout
    from repod.settings import check_tables, load_settings, render_settings
    from transports.registry import specs

    flags = {"host": host, "port": port, "interface": interface, "advertise": advertise, "log_level": log_level}
    layout = Layout(root)
    layout.check()
    loaded = load_settings(layout, flags=flags)
    if print_config:
        check_tables(loaded.value.transports, specs().values())
        typer.echo(render_settings(loaded), nl=False)
        return

    import asyncio
    import sys

    from core.logs import configure, get_logger
    from core.service import run_service
    from core.startup import step_forward
    from repod.serving import Serving
    from repod.serving import serve as run_daemon

    configure(loaded.value.log_level)
    step_forward()

    def announce(serving: Serving) -> None:
        typer.echo(serving.line(layout))
        sys.stdout.flush()
        if not loaded.value.advertise and (warning := serving.unlike_client_toml(layout)):
            get_logger("repod").warning("port_of_client_toml", message=warning)

    async def main(stop: asyncio.Event) -> None:
        await run_daemon(layout, loaded.value, stop, on_ready=announce)

    run_service(main)
