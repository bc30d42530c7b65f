"""repod ls: list the images."""

from __future__ import annotations

from typing import Annotated

import typer

from core.units import human_bytes
from repod.commands.common import DirArgument, JsonOption, emit_json, emit_table, open_repository

__all__ = ["ls"]


def ls(
    root: DirArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only the versions of this image.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List images and their versions.

    \b
    Examples:
      repod ls /srv/images
      repod ls /srv/images classroom --json
    """
    from core.errors import ImageError
    from core.ids import ImageRef, check_image_name
    from repod.catalogue import image_info

    if name is not None:
        check_image_name(name)
    infos = []
    with open_repository(root, read_only=True) as repository:
        entries = [entry for entry in repository.images() if name is None or entry.name == name]
        if name is not None and not entries:
            repository.find(ImageRef(name))  # says that there is none, and what comes close
        for entry in entries:
            try:
                with repository.pin(entry.ref) as pinned:
                    infos.append(image_info(repository, pinned.manifest))
            except ImageError as error:
                typer.echo(f"{entry.ref}: {error}", err=True)
    if as_json:
        emit_json({"images": infos})
        return
    rows = [("IMAGE", "FS", "SIZE", "DATA", "STORED", "CREATED")]
    rows += [
        (
            f"{info.name}@{info.version}",
            info.fs_type or "-",
            human_bytes(info.size),
            human_bytes(info.data_bytes),
            human_bytes(info.stored_bytes),
            info.created,
        )
        for info in infos
    ]
    emit_table(rows)
