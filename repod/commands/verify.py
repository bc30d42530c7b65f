"""repod verify: re-read everything and name what is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from repod.commands.common import DirArgument, JsonOption, emit_json, open_repository
from repod.commands.progress import progress_of
from repod.commands.reports import report_fields, report_lines

if TYPE_CHECKING:
    from images.repository import RebuildReport

__all__ = ["verify"]


def verify(
    root: DirArgument,
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Only these images. Default: everything stored.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="First make the index again from the packs (lost or damaged index).")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads. Default: one a core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Decode and digest every stored chunk; name each damaged chunk and image. Ends with 5 if there are any.

    A damaged chunk counts as missing from then on: importing or capturing its image again mends it.

    \b
    Examples:
      repod verify /srv/images
      repod verify /srv/images classroom
      repod verify /srv/images --rebuild
    """
    from core.errors import ImageError
    from core.ids import ImageRef
    from repod.layout import Layout

    refs = [ImageRef.parse(text) for text in images or []]
    rebuilt: RebuildReport | None = None
    with open_repository(root) as repository:
        key = Layout(root).trusted_key()
        if rebuild:
            rebuilt = repository.rebuild_index()
        with progress_of("verifying", quiet=as_json) as advance:
            report = repository.verify(
                refs=refs or None,
                progress=lambda state: advance(state.bytes_done, state.bytes_total, ""),
                public_key=key,
                workers=workers,
            )
        repository.forget_damaged(report.damaged_chunks)
    if as_json:
        extra = {"rebuilt": report_fields(rebuilt)} if rebuilt is not None else {}
        emit_json({"event": "done", **report_fields(report), **extra})
    else:
        for line in [*(report_lines(rebuilt) if rebuilt is not None else []), *report_lines(report)]:
            typer.echo(line)
        for stretch in rebuilt.damaged if rebuilt is not None else ():
            what = "torn end" if stretch.torn else "damaged stretch"
            typer.echo(
                f"{what}: pack {stretch.pack}, offset {stretch.offset}, {stretch.length} bytes: {stretch.reason}"
            )
        for chunk in report.damaged_chunks:
            typer.echo(f"damaged chunk {chunk.digest.hex()}: pack {chunk.pack}, offset {chunk.offset}: {chunk.reason}")
        for image in report.damaged_images:
            typer.echo(f"damaged image {image}")
    if report.damaged_chunks or report.damaged_images:
        raise ImageError(
            "the repository holds damaged data",
            hint="import or capture the damaged images again: their damaged chunks are stored anew",
        )
