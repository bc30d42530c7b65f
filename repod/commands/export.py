"""repod export: an image as a file other tools read."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from repod.commands.common import DirArgument, open_repository
from repod.commands.progress import progress_of

__all__ = ["export"]


class ExportFormat(enum.StrEnum):
    """What the file will be."""

    RAW = "raw"
    ZST = "zst"
    PARTCLONE = "partclone"


def export(
    root: DirArgument,
    image: Annotated[str, typer.Argument(metavar="NAME", help="name (the newest version) or name@version.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="File, block device (raw only), or - for standard output.")],
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="raw: sparse file; zst: seekable zstd; partclone: for partclone.restore."),
    ] = ExportFormat.RAW,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads. Default: one a core.")] = None,
) -> None:
    """Write an image to a file, as tools without ogcast read it. Every chunk is verified on the way.

    \b
    Examples:
      repod export /srv/images classroom classroom.raw
      repod export /srv/images classroom - --format zst | zstd -dc | dd of=/dev/sda2 bs=4M
      repod export /srv/images classroom@2 - --format partclone | partclone.restore -s - -o /dev/sda2
    """
    from core.ids import ImageRef
    from images.exporters import ExportProgress, export_partclone, export_raw, export_zst

    writers = {
        ExportFormat.RAW: export_raw,
        ExportFormat.ZST: export_zst,
        ExportFormat.PARTCLONE: export_partclone,
    }
    with (
        open_repository(root, read_only=True) as repository,
        repository.pin(ImageRef.parse(image)) as pinned,
        progress_of(f"exporting {pinned.manifest.ref}") as advance,
    ):

        def on_progress(state: ExportProgress) -> None:
            advance(state.bytes_done, state.bytes_total, "")

        writers[form](pinned.manifest, repository, out, workers=workers, progress=on_progress)
