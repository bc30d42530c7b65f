"""ogcast cache ls|verify|rm|gc: look after the CACHE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from client.commands.options import CacheOption, ImageArgument
from client.run import Options, Run, execute

__all__ = ["HELP", "app"]

HELP = """Look after the CACHE of this machine.

\b
Examples:
  ogcast --config client.toml cache ls
  ogcast --config client.toml cache verify classroom --mend
  ogcast --config client.toml cache rm classroom@2
"""


def _help(text: str, example: str) -> str:
    return f"{text}\n\n\b\nExample:\n  ogcast --config client.toml {example}"


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)


@app.command("ls", help=_help("List the images of the CACHE.", "cache ls --cache /mnt/cache"))
def list_images(context: typer.Context, cache: CacheOption = None) -> None:
    """List."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.upkeep import list_cache

        return await list_cache(run, cache)

    execute(given, main)


@app.command(
    "verify", help=_help("Hash every chunk of the CACHE and name what is damaged.", "cache verify classroom --mend")
)
def verify(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this image.")] = None,
    cache: CacheOption = None,
    mend: Annotated[bool, typer.Option("--mend", help="Fetch damaged chunks from the repository.")] = False,
) -> None:
    """Verify."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.upkeep import verify_cache

        return await verify_cache(run, name, cache, mend=mend)

    execute(given, main)


@app.command("rm", help=_help("Take an image out of the CACHE; `gc` frees its room.", "cache rm classroom@2"))
def remove(context: typer.Context, name: ImageArgument, cache: CacheOption = None) -> None:
    """Remove."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.upkeep import remove_from_cache

        return await remove_from_cache(run, name, cache)

    execute(given, main)


@app.command("gc", help=_help("Free the room of chunks that no image of the CACHE uses.", "cache gc --dry-run"))
def collect(
    context: typer.Context,
    cache: CacheOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
) -> None:
    """Collect."""
    given: Options = context.obj

    async def main(run: Run) -> Mapping[str, Any]:
        from client.upkeep import collect_garbage

        return await collect_garbage(run, cache, dry_run=dry_run)

    execute(given, main)
