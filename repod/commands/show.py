"""repod show: all about one image."""

from __future__ import annotations

from typing import Annotated

import typer

from core.units import human_bytes
from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository

__all__ = ["show"]


def show(
    root: DirArgument,
    image: Annotated[str, typer.Argument(metavar="NAME", help="name (the newest version) or name@version.")],
    as_json: JsonOption = False,
) -> None:
    """Show one image: geometry, content, signature.

    \b
    Examples:
      repod show /srv/images classroom
      repod show /srv/images classroom@3 --json
    """
    from core.errors import ManifestError
    from core.ids import ImageRef
    from images.extents import Kind
    from repod.catalogue import image_info
    from repod.layout import Layout

    with open_repository(root, read_only=True) as repository, repository.pin(ImageRef.parse(image)) as pinned:
        manifest = pinned.manifest
        info = image_info(repository, manifest)
    try:
        trusted = Layout(root).trusted_key()
        if trusted is not None:
            manifest.verify(trusted)
        signature = "valid" if trusted is not None else "not checked: no key is here"
    except ManifestError as error:
        signature = str(error)
    kinds = {kind.name.lower(): 0 for kind in Kind}
    for extent in manifest.extents:
        kinds[Kind(extent.kind).name.lower()] += extent.length
    facts: dict[str, object] = {
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "tool": manifest.tool,
        "source": manifest.source,
        "fs_type": manifest.fs.type,
        "fs_label": manifest.fs.label,
        "fs_uuid": manifest.fs.uuid,
        "size": manifest.size,
        "data_bytes": kinds["data"],
        "zero_bytes": kinds["zero"],
        "skip_bytes": kinds["skip"],
        "stored_bytes": info.stored_bytes,
        "block_size": manifest.block_size,
        "sector_size": manifest.sector_size,
        "chunk_size": manifest.chunk_size,
        "chunks": manifest.chunk_count,
        "extents": len(manifest.extents),
        "root": info.root,
        "signature": signature,
    }
    if as_json:
        emit_json(facts)
        return
    in_bytes = ("size", "data_bytes", "zero_bytes", "skip_bytes", "stored_bytes")
    for key, value in facts.items():
        shown = f"{value}" if key not in in_bytes else f"{value} ({human_bytes(float(str(value)))})"
        typer.echo(f"{key:<13} {shown or '-'}")
