"""Entry point of the command `repod`, and of `python -m repod`."""

from __future__ import annotations

import sys

from core.cli import run

__all__ = ["main"]


def main() -> int:
    """Run the command line and return the exit code."""
    from repod.cli import app

    return run(app)


if __name__ == "__main__":
    sys.exit(main())
