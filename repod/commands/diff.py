"""repod diff: what two images share."""

from __future__ import annotations

from typing import Annotated

import typer

from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository
from repod.commands.reports import report_fields, report_lines

__all__ = ["diff"]


def diff(
    root: DirArgument,
    old: Annotated[str, typer.Argument(metavar="A", help="name or name@version.")],
    new: Annotated[str, typer.Argument(metavar="B", help="name or name@version.")],
    as_json: JsonOption = False,
) -> None:
    """Say how much of B is in A already, and how much is new: what an update from A to B has to move.

    \b
    Examples:
      repod diff /srv/images classroom@1 classroom@2
    """
    from core.ids import ImageRef

    with open_repository(root, read_only=True) as repository:
        report = repository.diff(ImageRef.parse(old), ImageRef.parse(new))
    if as_json:
        emit_json({"a": old, "b": new, **report_fields(report)})
        return
    for line in report_lines(report):
        typer.echo(line)
