"""Names of machines: this one's, as repositories are told it, and what may be one at all. Light to import."""

from __future__ import annotations

import socket

__all__ = ["NAME_MAX_CHARS", "host_name", "is_host_name"]

NAME_MAX_CHARS = 256
"""What the control API takes (transports.control)."""

DNS_NAME_MAX_CHARS = 253
"""Without the dot at the end; with the lengths of its labels that is the 255 bytes of RFC 1035 2.3.4."""
LABEL_MAX_CHARS = 63
"""Between two dots, from there too; whoever resolves a longer one fails in its own way."""
_BESIDE_LETTERS = {ord("-"): None, ord("_"): None}


def is_host_name(name: str) -> bool:
    """Whether `name` may be looked up in the DNS, or be an IPv4 address: labels of ASCII letters, digits, hyphens and
    underscores, which RFC 1123 leaves out and many a network has."""
    bare = name.removesuffix(".")
    labels = bare.split(".")
    short = len(bare) <= DNS_NAME_MAX_CHARS and all(len(label) <= LABEL_MAX_CHARS for label in labels)
    return short and name.isascii() and all(label.translate(_BESIDE_LETTERS).isalnum() for label in labels)


def host_name() -> str:
    """Cut where it is longer than others take."""
    return socket.gethostname()[:NAME_MAX_CHARS]
