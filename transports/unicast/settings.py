"""The table [transports.unicast] of repod.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config import setting
from transports.tables import check_number, read_table

__all__ = ["DEFAULT_PORT", "UnicastSettings"]

DEFAULT_PORT = 8718


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicastSettings:
    """How the server half of unicast behaves."""

    port: int = setting(default=DEFAULT_PORT, doc="TCP port of the data lanes; 0 takes any free one (offers name it).")
    lanes_at_once: int = setting(
        default=8,
        doc="Lanes that send at the same time, the others wait in turn; 0: no limit. About the server's\n"
        "link rate divided by what one client takes.",
    )
    max_lanes: int = setting(default=1024, doc="Connections in all; further ones are refused and counted.")
    max_lanes_per_address: int = setting(default=64, doc="Connections from one address.")
    handshake_timeout_s: float = setting(
        default=10.0, doc="A connection that did not prove a session by then is closed."
    )
    idle_timeout_s: float = setting(
        default=60.0,
        doc="A lane silent for this long is closed; clients send a sign of life every third of their own\nstall time.",
    )
    write_timeout_s: float = setting(
        default=30.0, doc="A client that takes no byte of what it asked for during this time is dropped."
    )
    capture_window_bytes: int = setting(
        default=64 * 1024 * 1024, doc="What a capture may have sent and not stored yet: memory per uploading client."
    )

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> UnicastSettings:
        """Check a table of repod.toml. UsageError for unknown keys, wrong types and values out of bounds."""
        return read_table(cls, table, name="unicast", check=_check)


_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "lanes_at_once": (0, 65536),
    "max_lanes": (1, 65536),
    "max_lanes_per_address": (1, 65536),
    "handshake_timeout_s": (0.1, 3600),
    "idle_timeout_s": (1, 86400),
    "write_timeout_s": (0.1, 86400),
    "capture_window_bytes": (17 * 1024 * 1024, 4 * 1024**3 - 2**16),
}


def _check(key: str, value: Any, default: object) -> float:
    return check_number(f"transports.unicast.{key}", value, _BOUNDS[key], whole=isinstance(default, int))
