"""Names of machines: this one's, as repositories are told it, and what may be one at all. Light to import."""

from __future__ import annotations

import socket

__all__ = ["NAME_MAX_CHARS", "host_name", "is_host_name"]

NAME_MAX_CHARS = 256
"""What the control API takes (transports.control)."""


DNS_NAME_MAX_CHARS = 253
LABEL_MAX_CHARS = 63
"""RFC 1035 2.3.4: between two dots; whoever resolves a longer one fails in its own way."""
_NO_LETTERS = {ord("-"): None, ord("_"): None}


def is_host_name(name: str) -> bool:
    """Whether `name` may be in the DNS, or be an IPv4 address: labels of ASCII letters, digits, hyphens
    and, though no standard has them, underscores."""
    labels = name.removesuffix(".").split(".")
    short = len(name) <= DNS_NAME_MAX_CHARS and all(len(label) <= LABEL_MAX_CHARS for label in labels)
    return short and name.isascii() and all(label.translate(_NO_LETTERS).isalnum() for label in labels)


def host_name() -> str:
    """Cut where it is longer than others take."""
    return socket.gethostname()[:NAME_MAX_CHARS]
