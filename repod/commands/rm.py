"""repod rm: remove image versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from repod.commands.common import DirArgument, open_repository

if TYPE_CHECKING:
    from core.ids import ImageRef
    from images.repository import Repository

__all__ = ["rm"]


def rm(
    root: DirArgument,
    images: Annotated[list[str], typer.Argument(metavar="NAME...", help="name (the newest version) or name@version.")],
    all_versions: Annotated[bool, typer.Option("--all", help="Every version of the given names.")] = False,
) -> None:
    """Remove image versions. Sessions that use one end undisturbed; `repod gc` then frees the space.

    What is published as a torrent is not removed: see `repod torrents`.

    \b
    Examples:
      repod rm /srv/images classroom@2
      repod rm /srv/images classroom --all
    """
    from core.ids import ImageRef
    from repod.layout import Layout
    from repod.torrents.publications import Publications

    refs = [ImageRef.parse(text) for text in images]
    with open_repository(root) as repository:
        # one wrong name, or one that is published, removes nothing at all
        victims = {ref: _versions(repository, ref, all_versions) for ref in refs}
        with Publications(Layout(root)).unpublished(victim for found in victims.values() for victim in found):
            for victim in dict.fromkeys(victim for found in victims.values() for victim in found):
                repository.remove(victim)
                typer.echo(f"removed {victim}")
        for ref in refs:
            left = [entry.ref for entry in repository.images() if entry.name == ref.name]
            if left and ref.version is None:
                typer.echo(f"left: {', '.join(map(str, left))}")


def _versions(repository: Repository, ref: ImageRef, all_versions: bool) -> list[ImageRef]:
    """What a name stands for. NotFoundError if there is no such image or version."""
    found = repository.find(ref)
    return [entry.ref for entry in repository.images() if entry.name == ref.name] if all_versions else [found.ref]
