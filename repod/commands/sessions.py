"""repod sessions: who takes what, how fast, and why not faster."""

from __future__ import annotations

from typing import Annotated

import typer

from repod.commands.common import DirArgument, JsonOption, emit_json, emit_table

__all__ = ["sessions"]


def sessions(
    root: DirArgument,
    url: Annotated[
        str | None, typer.Option("--url", help="Where repod serves, if not where operator.toml says.", metavar="URL")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the running sessions of a repod that serves this repository, the slowest client first.

    LOSS is what the network loses, OVERFLOW what the client itself drops, BACKLOG how much of its memory waits for
    its disk, WHY what most likely brakes it.

    \b
    Examples:
      repod sessions /srv/images
      watch -n 2 repod sessions /srv/images
      repod sessions /srv/images --json
    """
    import os

    from repod.layout import Layout
    from repod.operator import ask
    from repod.proto.session_rows import HEADINGS, session_rows

    layout = Layout(root)
    if not os.path.exists(layout.operator):  # alone, it leads to a repository of another machine
        layout.check()
    answer = ask(layout.operator, "/sessions", url=url)
    if as_json:
        emit_json(answer)
        return
    rows = [HEADINGS, *session_rows(answer["sessions"])]
    if len(rows) == 1:
        typer.echo("no sessions")
        return
    emit_table(rows)
