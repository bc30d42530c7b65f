"""repod gc: free the space nothing uses any more."""

from __future__ import annotations

from typing import Annotated

import typer

from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository
from repod.commands.reports import report_fields, report_lines

__all__ = ["gc"]


def gc(
    root: DirArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Free what no image and no running session uses: removed versions, interrupted imports and captures.

    \b
    Examples:
      repod gc /srv/images --dry-run
      repod gc /srv/images
    """
    from repod.layout import Layout

    with open_repository(root) as repository:
        key = Layout(root).trusted_key()
        report = repository.gc(dry_run=dry_run, public_key=key)
    if as_json:
        emit_json({"event": "done", "dry_run": dry_run, **report_fields(report)})
        return
    for line in report_lines(report):
        typer.echo(line)
