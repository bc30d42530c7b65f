"""Finding the system's programs, also where only root's path looks."""

from __future__ import annotations

import os
import shutil

__all__ = ["find_program"]

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def find_program(name: str) -> str | None:
    """Path of an installed program, or None."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
