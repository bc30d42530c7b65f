"""ogcast capture SOURCE NAME: upload a new image or version."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from client.run import Options, Run, execute
from core.hostname import host_name
from core.ids import check_image_name

__all__ = ["HELP", "command"]

HELP = """Make an image of a partition (or of an image file) and upload it as a new version of NAME.

Only what the repository lacks is compressed and sent; the new version appears when all of it arrived.

\b
Examples:
  ogcast --config client.toml capture /dev/sda2 classroom
  partclone.ext4 -c -s /dev/sda2 | ogcast --config client.toml capture - classroom
"""


class CaptureFormat(enum.StrEnum):
    """Values of --format; names of `images.importers.SourceFormat`, which is slow to import."""

    auto = "auto"
    raw = "raw"


class AskFileSystem(enum.StrEnum):
    """Values of --fs; names of `images.importers.FileSystemUse`, which is slow to import."""

    auto = "auto"
    always = "always"
    none = "none"


def command(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Block device, image file, or - for standard input.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the image in the repository.")],
    force: Annotated[
        bool, typer.Option("--force", help="Take the source although it is mounted or looks damaged.")
    ] = False,
    form: Annotated[
        CaptureFormat, typer.Option("--format", help="raw: take every byte as it is, whatever it looks like.")
    ] = CaptureFormat.auto,
    fs: Annotated[
        AskFileSystem,
        typer.Option("--fs", help="Ask the file system what is in use: for devices (auto), raw files too, never."),
    ] = AskFileSystem.auto,
) -> None:
    """Capture; see HELP."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.control import ControlClient
        from transports.control import CaptureRequest

        check_image_name(name)
        async with ControlClient(run.settings) as control:
            opened = await control.open_capture(CaptureRequest(name=name, host=host_name()))
            from client.capturing import Capture
            from images.importers import FileSystemUse, ImportOptions, SourceFormat

            import_options = ImportOptions(force=force, format=SourceFormat(form.value), fs=FileSystemUse(fs.value))
            run.stage("start", f"capture of {source} as {name}")
            return await Capture(run, control, source=source, name=name, options=import_options).perform(opened)

    execute(given, main)
