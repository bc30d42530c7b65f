"""Method: the operator's word for protocol + target, as OpenGnsys writes it (UNICAST-DIRECT, MULTICAST-CACHE, …)."""

from __future__ import annotations

import enum
import re

import msgspec

from core.errors import UsageError

__all__ = ["AUTO", "Method", "Target", "parse_method"]

AUTO = "AUTO"
"""The protocol of methods that leave the choice to the client."""


class Target(enum.Enum):
    """Where a method puts the image."""

    DIRECT = "DIRECT"
    """Straight to the target partition."""
    CACHE = "CACHE"
    """Into the client's CACHE."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed method; `protocol` is upper case and is looked up with `registry.by_protocol`."""

    protocol: str
    target: Target

    @property
    def chooses(self) -> bool:
        """No transport is named: the client picks, and changes its mind when the room does."""
        return self.protocol == AUTO

    def __str__(self) -> str:
        return f"{self.protocol}-{self.target.value}"


_METHOD = re.compile(r"([A-Z0-9]{1,32})(?:-([A-Z]{1,32}))?")


def parse_method(text: str) -> Method:
    """Parse `PROTOCOL` or `PROTOCOL-TARGET`, in any case; a bare protocol means CACHE, as in OpenGnsys.

    Raises UsageError. Whether the protocol exists is the registry's business.
    """
    match = _METHOD.fullmatch(text.strip().upper())
    if match is None:
        raise UsageError(f"not a method: {text[:64]!a}", hint="methods are written UNICAST-DIRECT or UNICAST-CACHE")
    protocol, target = match.groups(default=Target.CACHE.value)
    try:
        return Method(protocol=protocol, target=Target(target))
    except ValueError:
        raise UsageError(
            f"unknown target {target!r} in method {text[:64]!a}",
            hint=f"use {protocol}-DIRECT (straight to the partition) or {protocol}-CACHE",
        ) from None
