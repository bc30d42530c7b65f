"""repod torrents: what is published for BitTorrent clients."""

from __future__ import annotations

from typing import Annotated

import typer

from core.units import human_bytes
from repod.commands.common import DirArgument, JsonOption, emit_json, emit_table

__all__ = ["torrents"]


def torrents(
    root: DirArgument,
    withdraw: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Take back a torrent: its id, or NAME@VERSION; repeatable. Works at once."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what `repod export --torrent` published, or withdraw it.

    What is withdrawn is neither tracked nor sent any more, and its image can be removed. Clients that know each other
    may go on exchanging it for a while.

    \b
    Examples:
      repod torrents /srv/images
      repod torrents /srv/images --withdraw classroom@3
    """
    from repod.layout import Layout
    from repod.torrents.publications import Publications

    layout = Layout(root)
    layout.check()
    publications = Publications(layout)
    if withdraw:
        gone = [publication for name in withdraw for publication in publications.withdraw(name)]
        if as_json:
            emit_json({"withdrawn": [publication.id for publication in gone]})
        else:
            for publication in gone:
                typer.echo(f"withdrew {publication.id} ({publication.file_name})")
        return
    listed = sorted(publications.all(), key=lambda publication: publication.created)
    if as_json:
        shown = ("id", "image", "form", "file_name", "length", "pieces", "piece_length", "info_hash_v1", "info_hash_v2")
        emit_json({"torrents": [{name: getattr(publication, name) for name in shown} for publication in listed]})
        return
    rows = [("ID", "FILE", "SIZE", "PIECES", "INFO HASH")]
    rows += [
        (
            publication.id,
            publication.file_name,
            human_bytes(publication.length),
            str(publication.pieces),
            publication.info_hash_v1,
        )
        for publication in listed
    ]
    if len(rows) == 1:
        typer.echo("no torrents")
        return
    emit_table(rows)
