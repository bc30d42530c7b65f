"""repod rm: remove image versions."""

from __future__ import annotations

from typing import Annotated

import typer

from repod.commands.common import DirArgument, open_repository

__all__ = ["rm"]


def rm(
    root: DirArgument,
    images: Annotated[list[str], typer.Argument(metavar="NAME...", help="name (the newest version) or name@version.")],
    all_versions: Annotated[bool, typer.Option("--all", help="Every version of the given names.")] = False,
) -> None:
    """Remove image versions. Sessions that use one end undisturbed; `repod gc` then frees the space.

    \b
    Examples:
      repod rm /srv/images classroom@2
      repod rm /srv/images classroom --all
    """
    from core.ids import ImageRef

    refs = [ImageRef.parse(text) for text in images]
    with open_repository(root) as repository:
        for ref in refs:
            repository.find(ref)  # one wrong name removes nothing at all
        for ref in refs:
            versions = [entry.ref for entry in repository.images() if entry.name == ref.name]
            for victim in versions if all_versions else [repository.find(ref).ref]:
                repository.remove(victim)
                typer.echo(f"removed {victim}")
            left = [entry.ref for entry in repository.images() if entry.name == ref.name]
            if left and ref.version is None:
                typer.echo(f"left: {', '.join(map(str, left))}")
