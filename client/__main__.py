"""Entry point of `ogcast`."""

from __future__ import annotations

import os
import sys

from core.bundle import bundle_path, use_bundle
from core.errors import UsageError
from core.startup import DETACHED, EXIT_TERMINATED, Terminated, heed_sigterm, leave, settle, step_back

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    if DETACHED in sys.argv:
        step_back()
    settle()
    use_bundle(bundle_path(os.path.dirname(__file__)))
    begun = None
    try:
        heed_sigterm()
        from client import early

        begun = early.begin(sys.argv[1:])
        if begun is not None:  # an image is to come
            from core.timeslice import take_long_turns

            take_long_turns()
        code = _carry_out(sys.argv[1:])
    except KeyboardInterrupt:  # while it was imported: a command that runs answers for itself
        code = _tell_interrupted()
    except Terminated:
        _tell_interrupted()
        code = EXIT_TERMINATED
    if begun is not None:
        begun.close()
    leave(code)


def _carry_out(arguments: list[str]) -> int:
    """The command's exit code. A plain restore is not read by typer: see client/order.py."""
    from client.order import read_order

    if (read := read_order(arguments)) is not None:
        from client.restore import restore_plain
        from core.ending import ended

        return ended(lambda: restore_plain(*read))
    from client.app import app
    from core.cli import run

    return run(app, arguments, on_usage=_tell_usage if "--json" in arguments else None)


def _tell_interrupted() -> int:
    from core.ending import EXIT_INTERRUPTED, say

    say("interrupted")
    return EXIT_INTERRUPTED


def _tell_usage(error: UsageError) -> None:
    """Programs read the reason where they read everything else."""
    from client.events import JsonReporter, error_fields

    JsonReporter().event("error", error_fields(error))


if __name__ == "__main__":
    main()
