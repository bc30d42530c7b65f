"""Entry point of `ogcast`."""

from __future__ import annotations

import sys

from client.app import app
from core.cli import run

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app))


if __name__ == "__main__":
    main()
