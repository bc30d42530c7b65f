"""repod import: make an image version from a partition or file."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from core.ending import told_if_interrupted
from core.units import human_bytes
from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository
from repod.commands.progress import progress_of

if TYPE_CHECKING:
    from images.build_progress import BuildProgress
    from images.manifest import Manifest

__all__ = ["INTERRUPTED", "import_image"]

INTERRUPTED = "interrupted; nothing of it is visible: the same command goes on from what is stored already"


class ImportFormat(enum.StrEnum):
    """Names of images.importers.SourceFormat, which is slow to import."""

    AUTO = "auto"
    RAW = "raw"


class AskFileSystem(enum.StrEnum):
    """Names of images.importers.FileSystemUse, which is slow to import."""

    AUTO = "auto"
    ALWAYS = "always"
    NONE = "none"


def import_image(
    root: DirArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Block device, raw file, OpenGnsys .img (partclone, compressed or not), qcow2/vmdk/vhdx, or - .",
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the image; a name that exists gets a new version.")],
    chunk_size: Annotated[
        int | None,
        typer.Option(
            help="Bytes a chunk, a power of two; 0: as the last version, or by the image's size. Default: repod.toml."
        ),
    ] = None,
    level: Annotated[int | None, typer.Option(min=1, max=22, help="zstd level. Default: repod.toml.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the source although it is mounted or looks damaged.")
    ] = False,
    form: Annotated[
        ImportFormat, typer.Option("--format", help="raw: take every byte as it is, whatever it looks like.")
    ] = ImportFormat.AUTO,
    fs: Annotated[
        AskFileSystem,
        typer.Option(help="Ask the file system what is in use: for devices (auto), raw files too, never."),
    ] = AskFileSystem.AUTO,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads. Default: one a core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import a partition or an image file as a new version of NAME.

    Only what the store does not hold is compressed and stored. It works while `repod serve` runs, and the image is
    there at once; an interrupted import leaves nothing visible.

    \b
    Examples:
      repod import /srv/images /dev/sda2 --name classroom
      repod import /srv/images /opt/opengnsys/images/win10.img --name win10
      ssh pc17 'partclone.ext4 -c -s /dev/sda2' | repod import /srv/images - --name pc17
    """
    from core.ids import check_image_name
    from images.builder import build_image
    from images.defaults import CHUNK_SIZE_BY_IMAGE
    from images.importers import FileSystemUse, ImportOptions, SourceFormat, open_source
    from repod.layout import Layout
    from repod.settings import load_settings

    check_image_name(name)
    options = ImportOptions(force=force, format=SourceFormat(form.value), fs=FileSystemUse(fs.value))
    layout = Layout(root)
    layout.check()
    settings = load_settings(layout, flags={"chunk_size": chunk_size, "level": level}).value
    key = layout.load_trusted_signing_key()
    last: BuildProgress | None = None
    with (
        told_if_interrupted(INTERRUPTED),
        open_repository(root) as repository,
        open_source(source, options=options) as opened,
        repository.writer(purpose=f"import of {name}") as writer,
        progress_of(f"importing {name}", quiet=as_json) as advance,
    ):
        for notice in () if as_json else opened.notices:
            typer.echo(f"notice: {notice}", err=True)

        def on_progress(state: BuildProgress) -> None:
            nonlocal last
            last = state
            known = f"{human_bytes(state.bytes_known)} known already" if state.bytes_known else ""
            advance(state.bytes_done, state.bytes_total, known)

        unsigned = build_image(
            opened,
            writer,
            name=name,
            chunk_size=settings.chunk_size or repository.chunk_size_of(name) or CHUNK_SIZE_BY_IMAGE,
            level=settings.level,
            workers=workers,
            progress=on_progress,
        )
        manifest = repository.publish(unsigned, sign=key, writer=writer)
    _tell(manifest, last, opened.notices, as_json=as_json)


def _tell(manifest: Manifest, last: BuildProgress | None, notices: Sequence[str], *, as_json: bool) -> None:
    """What was imported; `last` is None for an image without data."""
    stored, known, seconds = (last.bytes_stored, last.bytes_known, last.seconds) if last else (0, 0, 0.0)
    if as_json:
        emit_json(
            {
                "event": "done",
                "image": str(manifest.ref),
                "size": manifest.size,
                "data_bytes": manifest.data_bytes,
                "chunks": manifest.chunk_count,
                "fs_type": manifest.fs.type,
                "source": manifest.source,
                "bytes_known": known,
                "bytes_stored": stored,
                "seconds": round(seconds, 3),
                "notices": notices,
            }
        )
        return
    typer.echo(
        f"{manifest.ref}: {human_bytes(manifest.size)} partition ({manifest.fs.type or 'unknown content'}), "
        f"{human_bytes(manifest.data_bytes)} of data, {human_bytes(stored)} stored, "
        f"{human_bytes(known)} known already, {seconds:.1f} s"
    )
