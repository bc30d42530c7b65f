"""python -m client.bundling [FILE]: write what `ogcast` imports into one file (core/bundle.py); part of installing it.

Harmless when repeated, and when forgotten: every start takes a tenth longer then. Without FILE it is written where
`ogcast` looks for it.
"""

from __future__ import annotations

import importlib
import os
import sys

import client
from core.bundle import bundle_path, write_bundle
from core.ending import ended
from core.startup import settle
from transports import registry
from transports.listeners import LISTENERS

__all__ = ["main"]

_COMMANDS = (
    "client.early",
    "client.restore",
    "client.direct",
    "client.deployment",
    "client.http",
    "core.timeslice",
    "uvloop",
)
"""What imports, when it is imported or run, all that restores import."""


def main() -> None:
    """Import all that the usual restores do, and write it. Raises OSError where nothing may be written."""
    settle()  # as `ogcast` does, which imports less of NumPy then
    for name in (*_COMMANDS, *(path.partition(":")[0] for _, path in LISTENERS.values())):
        importlib.import_module(name)
    for spec in registry.specs().values():
        registry.load_client(spec)
    path = sys.argv[1] if len(sys.argv) > 1 else bundle_path(os.path.dirname(client.__file__))
    count = write_bundle(path, list(sys.modules.values()))
    sys.stdout.write(f"{count} modules in {path}\n")


if __name__ == "__main__":
    sys.exit(ended(main))
