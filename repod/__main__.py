"""Entry point of the command `repod`, and of `python -m repod`."""

from __future__ import annotations

import sys

from core.startup import settle, unwind

__all__ = ["main"]


def main() -> int:
    """Run the command line and return the exit code."""
    settle()
    from core.cli import run
    from repod.cli import app

    code = run(app)
    unwind()
    return code


if __name__ == "__main__":
    sys.exit(main())
