"""repod init: make a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["init"]


def init(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet, or is empty.")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            "--name",
            help="Name or address clients use for this machine; repeatable, the first goes into client.toml. "
            "Default: the address of the default route.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that client.toml names.")] = 8717,
) -> None:
    """Make a repository: signing key, certificate, tokens, settings.

    An existing repository is never touched. DIR/client.toml is ready to be copied to clients, DIR/operator.toml to
    operators; both hold a token and are kept private.

    \b
    Examples:
      repod init /srv/images
      repod init /srv/images --host images.example.org --host 10.0.0.5
    """
    import datetime

    from repod.initialise import initialise

    made = initialise(root, hosts=host or [], now=datetime.datetime.now(datetime.UTC), port=port)
    typer.echo(f"repository made: {root}")
    typer.echo(f"clients will use {made.url} (settings for them: {root / 'client.toml'})")
    typer.echo(f"next: repod import {root} SOURCE --name NAME; repod serve {root}")
