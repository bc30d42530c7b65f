"""What the commands share: argument types, JSON output, numbers for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from images.repository import Repository

__all__ = ["DirArgument", "JsonOption", "emit_json", "emit_table", "open_repository"]

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The repository.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def emit_json(value: Any, *, err: bool = False) -> None:
    """One JSON value as a line on standard output; with `err`, where that is taken, on standard error."""
    import msgspec

    typer.echo(msgspec.json.encode(value).decode(), err=err)


def emit_table(rows: Sequence[Sequence[str]]) -> None:
    """Lines of cells on standard output, columns aligned; the first row has the headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def open_repository(root: Path, *, read_only: bool = False) -> Repository:
    """The repository at `root`, as a context manager. Raises RepositoryError, or NotFoundError if nothing is there."""
    from images.repository import Repository
    from repod.layout import Layout

    Layout(root).check()
    return Repository.open(root, read_only=read_only)
