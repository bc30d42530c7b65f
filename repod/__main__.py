"""Entry point of the command `repod`, and of `python -m repod`."""

from __future__ import annotations

from core.startup import leave, settle

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    settle()
    from core.cli import run
    from repod.cli import app

    leave(run(app))


if __name__ == "__main__":
    main()
