"""Entry point of the command `repod`, and of `python -m repod`."""

from __future__ import annotations

from core.startup import heed_sigterm, leave, settle

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    settle()
    from core.ending import ended

    leave(ended(_carry_out))  # it may be interrupted while it is imported, too


def _carry_out() -> int:
    heed_sigterm()
    from core.cli import run
    from repod.cli import app

    return run(app)


if __name__ == "__main__":
    main()
