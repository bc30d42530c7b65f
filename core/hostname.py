"""The name of this machine, as repositories are told it. Light to import."""

from __future__ import annotations

import socket

__all__ = ["NAME_MAX_CHARS", "host_name"]

NAME_MAX_CHARS = 256
"""What the control API takes (transports.control)."""


def host_name() -> str:
    """Cut where it is longer than others take."""
    return socket.gethostname()[:NAME_MAX_CHARS]
