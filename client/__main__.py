"""Entry point of `ogcast`."""

from __future__ import annotations

import sys

from core.startup import settle, unwind

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    settle()
    from client import early

    begun = early.begin(sys.argv[1:])
    from client.app import app
    from core.cli import run

    code = run(app)
    if begun is not None:
        begun.close()
    unwind()
    sys.exit(code)


if __name__ == "__main__":
    main()
