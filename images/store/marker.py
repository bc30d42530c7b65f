"""What says that a directory is a repository. Light to import: a restore to a file asks before it begins."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["FORMAT_WORD", "repository_around"]

FORMAT_WORD = "ogcast-repository "
"""The file `format` of a repository of any version begins so."""


def repository_around(path: Path | str) -> Path | None:
    """The directory of the repository, of whatever version, that `path` lies in; None if it lies in none."""
    for folder in Path(os.path.realpath(path)).parents:
        marker = folder / "format"
        with contextlib.suppress(OSError):
            if os.path.isfile(marker):
                with marker.open("rb") as file:
                    if file.read(len(FORMAT_WORD)) == FORMAT_WORD.encode():
                        return folder
    return None
