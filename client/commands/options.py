"""Options that several commands have."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CacheOption",
    "DiscardOption",
    "FallbackOption",
    "ImageArgument",
    "MethodOption",
    "ProtocolOption",
    "SeedOption",
    "TargetArgument",
    "Verify",
    "VerifyOption",
]


METHOD_HELP = (
    "PROTOCOL-DIRECT or PROTOCOL-CACHE: where the chunks go, or come from; the protocol is UNICAST, MULTICAST or "
    "TORRENT, or that of another installed transport. AUTO picks what suits the room. A bare protocol means "
    "PROTOCOL-CACHE, as in OpenGnsys; AUTO means AUTO-DIRECT for restore. "
    "Default: UNICAST-DIRECT for restore, UNICAST-CACHE for update-cache and deploy."
)
CACHE_HELP = (
    "Directory of the CACHE. Default: `cache` of the configuration, else opt/opengnsys/ogcast on the mounted "
    "CACHE partition."
)


class Verify(enum.StrEnum):
    """Values of --verify; `client.readback.VerifyMode` says what they do."""

    none = "none"
    sample = "sample"
    full = "full"


ImageArgument = Annotated[str, typer.Argument(metavar="NAME", help="Image: name, or name@version.")]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="Block device or file to write; null: checks all that comes and keeps nothing."
    ),
]
MethodOption = Annotated[str | None, typer.Option("--method", help=METHOD_HELP)]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--options",
        "--protocol-options",
        help="OpenGnsys' option string of the protocol: 9000:full-duplex:239.194.17.36:70M:50:60 for multicast, "
        "peer:60 (or seeder, leecher; seconds) for TORRENT.",
    ),
]
CacheOption = Annotated[Path | None, typer.Option("--cache", help=CACHE_HELP)]
FallbackOption = Annotated[
    bool,
    typer.Option("--fallback/--no-fallback", help="Take another transport when the method's own does not work."),
]
SeedOption = Annotated[
    bool | None,
    typer.Option(
        "--seed/--no-seed",
        help="Go on giving to others in the background, as the TORRENT method's option string says, or do not.",
    ),
]
DiscardOption = Annotated[bool, typer.Option("--discard", help="Give free space of the image back to the device.")]
VerifyOption = Annotated[
    Verify, typer.Option("--verify", help="Read back from the target after the last write: 128 chunks, or all.")
]
