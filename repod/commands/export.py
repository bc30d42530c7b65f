"""repod export: an image as a file other tools read, or as a torrent of such a file."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import UsageError
from core.units import human_bytes
from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository
from repod.commands.progress import progress_of

if TYPE_CHECKING:
    from images.manifest import Manifest

__all__ = ["export"]

DEFAULT_OUT = "NAME@VERSION.zst.torrent"
"""Where a torrent goes that nobody named a place for: a file in the folder one stands in."""


class ExportFormat(enum.StrEnum):
    """What the file will be."""

    RAW = "raw"
    ZST = "zst"
    PARTCLONE = "partclone"


def export(
    root: DirArgument,
    image: Annotated[str, typer.Argument(metavar="NAME", help="name (the newest version) or name@version.")],
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="File, block device (raw only), or - for standard output. With --torrent: the .torrent file; "
            "default NAME@VERSION.zst.torrent.",
        ),
    ] = None,
    form: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            help="raw: sparse file; zst: seekable zstd; partclone: for partclone.restore. "
            "Default: raw, with --torrent zst.",
        ),
    ] = None,
    torrent: Annotated[
        bool, typer.Option("--torrent", help="Publish the file for BitTorrent clients, and write its .torrent file.")
    ] = False,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="With --torrent: where clients reach `repod serve`, http(s)://HOST:PORT; repeatable. Default: as "
            "repod.toml and client.toml say.",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads. Default: one a core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write an image to a file, as tools without ogcast read it. Every chunk is verified on the way.

    What was written is said at the end; on standard error where the file goes to standard output.

    With --torrent the file is not written but published: a running `repod serve` is its tracker and web seed. Whoever
    has the .torrent file may download. `repod torrents` lists and withdraws what is published.

    \b
    Examples:
      repod export /srv/images classroom classroom.raw
      repod export /srv/images classroom - --format zst | zstd -dc | dd of=/dev/sda2 bs=4M
      repod export /srv/images classroom@2 - --format partclone | partclone.restore -s - -o /dev/sda2
      repod export /srv/images classroom --torrent
    """
    if torrent or out is not None:
        _check_outside(out)
    if torrent:
        _publish(root, image, out, form or ExportFormat.ZST, url or [], workers, as_json=as_json)
        return
    if out is None or url:
        raise UsageError(
            "say where the file goes" if out is None else "--url is for --torrent",
            hint="'repod export --help' shows examples",
        )
    import time

    from core.ids import ImageRef
    from images.exporters import ExportProgress, export_partclone, export_raw, export_zst

    began = time.monotonic()
    form = form or ExportFormat.RAW
    writers = {
        ExportFormat.RAW: export_raw,
        ExportFormat.ZST: export_zst,
        ExportFormat.PARTCLONE: export_partclone,
    }
    with (
        open_repository(root, read_only=True) as repository,
        repository.pin(ImageRef.parse(image)) as pinned,
        progress_of(f"exporting {pinned.manifest.ref}", quiet=as_json) as advance,
    ):

        def on_progress(state: ExportProgress) -> None:
            advance(state.bytes_done, state.bytes_total, "")

        writers[form](pinned.manifest, repository, out, workers=workers, progress=on_progress)
        manifest = pinned.manifest
    _tell(manifest, out, form, time.monotonic() - began, as_json=as_json)


def _tell(manifest: Manifest, out: str, form: ExportFormat, seconds: float, *, as_json: bool) -> None:
    """What was written."""
    to_stream = out == "-"
    out = out.encode("utf-8", "backslashreplace").decode()  # a file name need not be UTF-8
    if as_json:
        done = {"event": "done", "image": str(manifest.ref), "size": manifest.size, "data_bytes": manifest.data_bytes}
        emit_json({**done, "out": out, "format": form, "seconds": round(seconds, 3)}, err=to_stream)
        return
    typer.echo(
        f"{manifest.ref}: {human_bytes(manifest.size)} partition, {human_bytes(manifest.data_bytes)} of data, written "
        f"to {'standard output' if to_stream else out} ({form}), {seconds:.1f} s",
        err=to_stream,
    )


def _check_outside(out: str | None) -> None:
    """The files of a repository must not be written over: one of them is the key that signs, and there is no other."""
    from images.store.marker import repository_around

    if out == "-" or (repository := repository_around(out or DEFAULT_OUT)) is None:
        return
    raise UsageError(
        f"{out or 'this folder'} is inside the repository {repository}, where nothing but its own files may be",
        hint="write it to another folder" if out else "name the .torrent file, in another folder",
    )


def _publish(
    root: DirArgument,
    image: str,
    out: str | None,
    form: ExportFormat,
    urls: list[str],
    workers: int | None,
    *,
    as_json: bool,
) -> None:
    import time

    from core.ids import ImageRef
    from images.exporters import ExportProgress
    from images.exporters.output import open_output
    from images.exporters.ranged import FileForm
    from repod.addresses import torrent_base
    from repod.layout import Layout
    from repod.settings import load_settings
    from repod.torrents.paths import check_base, torrent_url
    from repod.torrents.publications import Publications
    from repod.torrents.publishing import publish_image

    if form is ExportFormat.PARTCLONE:
        raise UsageError("a torrent is of a raw or a zst file", hint="zst, the default, is the smaller one")
    layout = Layout(root)
    layout.check()
    bases = [check_base(url) for url in urls] or [torrent_base(layout, load_settings(layout).value)]
    with (
        open_repository(root, read_only=True) as repository,
        repository.pin(ImageRef.parse(image)) as pinned,
        open_output(out or f"{pinned.manifest.ref}.{form}.torrent", mode=0o600) as output,
    ):
        with progress_of(f"hashing {pinned.manifest.ref}", quiet=as_json) as advance:

            def on_progress(state: ExportProgress) -> None:
                advance(state.bytes_done, state.bytes_total, "")

            published = publish_image(
                pinned.manifest,
                repository,
                Publications(layout),
                FileForm(form.value),
                bases=bases,
                now=time.time(),
                workers=workers,
                progress=on_progress,
            )
        output.write(published.torrent)
    publication = published.publication
    if as_json:
        shown = ("id", "image", "form", "file_name", "length", "pieces", "piece_length", "info_hash_v1", "info_hash_v2")
        emit_json(
            {
                "event": "done",
                **{name: getattr(publication, name) for name in shown},
                "is_new": published.is_new,
                "torrent": output.name,
                "urls": [torrent_url(base, publication) for base in bases],
            },
            err=out == "-",
        )
        return
    lines = [
        f"{publication.file_name}: {human_bytes(publication.length)} in {publication.pieces} pieces of "
        f"{human_bytes(publication.piece_length)}, {'published' if published.is_new else 'published before'} as "
        f"{publication.id}",
        f"torrent: {output.name} (whoever has it may download)",
        *(f"clients: aria2c {_trust(base)}{torrent_url(base, publication)}" for base in bases),
    ]
    for line in lines:
        typer.echo(line, err=out == "-")


def _trust(base: str) -> str:
    """What a client must be told besides the URL."""
    return "--ca-certificate=tls.crt " if base.startswith("https:") else ""
