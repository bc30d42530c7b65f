"""The command line of ogcast: options before the command, and the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.commands import cache, capture, deploy, relay, restore, seed, update_cache
from client.run import Options
from core.cli import DebugOption, VersionOption

__all__ = ["app"]

CONFIG_HELP = (
    "client.toml of the repository (`repod init` writes it). "
    "Default: ./client.toml, /etc/ogcast/client.toml, /opt/opengnsys/etc/ogcast.toml."
)
HELP = """Put disk images of a repository onto this machine, or capture new ones.

\b
First steps, with the client.toml that `repod init` made:
  ogcast --config client.toml restore classroom /dev/sda2
  ogcast --config client.toml deploy classroom /dev/sda2 --method UNICAST-CACHE
  ogcast --config client.toml capture /dev/sda2 classroom
Options named here go before the command.
"""

app = typer.Typer(
    name="ogcast",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", help=CONFIG_HELP)] = None,
    repo: Annotated[str | None, typer.Option("--repo", help="URL of the repository, not the configured one.")] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", help="Network interface for data; else the one that routes to the repository."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event on standard output.")] = False,
    debug: DebugOption = False,
    version: VersionOption = False,
) -> None:
    """Take the options before the command."""
    context.obj = Options(config=config, repo=repo, interface=interface, json=json)


app.command("restore", help=restore.HELP)(restore.command)
app.command("update-cache", help=update_cache.HELP)(update_cache.command)
app.command("deploy", help=deploy.HELP)(deploy.command)
app.command("seed", help=seed.HELP)(seed.command)
app.command("relay", help=relay.HELP)(relay.command)
app.command("capture", help=capture.HELP)(capture.command)
app.add_typer(cache.app, name="cache", help=cache.HELP)
