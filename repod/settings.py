"""What `repod serve` can be told: every key of DIR/repod.toml, with its meaning."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from core.config import Loaded, load, render, setting, toml_value
from core.errors import UsageError
from core.hostname import is_host_name
from core.netif import ip_version
from images.codec import CHUNK_SIZE_MIN
from images.defaults import CHUNK_SIZE_BY_IMAGE, ZSTD_LEVEL_DEFAULT
from repod.layout import Layout
from transports.base import TransportSpec
from transports.registry import settings_of, specs

__all__ = [
    "DEFAULT_PORT",
    "ENV_PREFIX",
    "Limits",
    "Settings",
    "Torrents",
    "check_tables",
    "load_settings",
    "render_settings",
]

DEFAULT_PORT = 8717
ENV_PREFIX = "REPOD_"

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the daemon; reaching one is counted in `ogcast_limit_reached_total`."""

    connections: Count = setting(default=2048, doc="Open connections to the control API; more are closed at once.")
    sessions: Count = setting(default=1024, doc="Running sessions; more are answered 503 with Retry-After.")
    sessions_per_address: Count = setting(
        default=512,
        doc="Of these, from one address (IPv6: one /64); more are answered 503 too. A computer has one, and one more\n"
        "while it gives in the background: raise it where more than 250 come from behind one NAT or proxy.",
    )
    captures: Count = setting(default=16, doc="Captures at once; more are answered 503 with Retry-After.")
    session_idle_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = setting(
        default=60.0, doc="Seconds without a report and without an open lane after which a session ends."
    )
    capture_hold_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = setting(
        default=60.0, doc="Seconds a capture keeps its lock on the name after its lane broke."
    )
    grace_s: Seconds = setting(default=5.0, doc="Seconds that running sessions get to end when the daemon stops.")
    body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 24)] = setting(
        default=65_536, doc="Largest JSON body of a request, bytes."
    )
    manifest_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=1 << 28)] = setting(
        default=64 << 20, doc="Largest manifest a capture may send, bytes (40 a chunk); memory grows with it."
    )
    event_subscribers: Count = setting(default=16, doc="Readers of the event stream at once.")
    event_queue: Count = setting(
        default=256, doc="Events waiting for one reader of the stream; when full, the oldest are dropped and counted."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Torrents:
    """Tracker and web seed for BitTorrent clients (`repod export --torrent`)."""

    http_port: Port = setting(
        default=0,
        doc="TCP port of plain HTTP for BitTorrent clients, tracker and web seed only. 0: none; they use HTTPS on the\n"
        "control port then, and must be told to trust DIR/tls.crt.",
    )
    transfers: Annotated[int, msgspec.Meta(ge=1, le=256)] = setting(
        default=16, doc="Downloads the web seed sends at once, a quarter of them to one address; more wait in turn."
    )
    peers: Count = setting(default=4096, doc="Peers the tracker remembers, of all torrents; who has most makes room.")
    peers_per_torrent: Count = setting(default=1024, doc="Peers of one torrent; who has most makes room.")
    interval_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = setting(
        default=60, doc="Seconds between two announces of a peer."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The daemon's settings: defaults, DIR/repod.toml, REPOD_… variables, flags of `repod serve`."""

    host: str = setting(
        default="",
        doc="Address to listen on, for the control API and the data lanes.\n"
        "Empty: the address of `interface` if that is set, all IPv4 addresses otherwise; `::` is all of IPv6.",
    )
    port: Port = setting(
        default=DEFAULT_PORT, doc="TCP port of the control API; 0 takes any free one (data lanes too)."
    )
    interface: str = setting(default="", doc="Network interface for data lanes, for example eth0. Empty: any.")
    advertise: str = setting(
        default="", doc="Name or address that clients use, if it is not the one listened on (port forwarding)."
    )
    log_level: str = setting(default="info", doc="debug, info, warning or error.")
    chunk_size: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)] = setting(
        default=CHUNK_SIZE_BY_IMAGE,
        doc="Chunk size of new images, bytes: a power of two, 65536 to 16777216; the largest get larger ones.\n"
        "0: as the version before; for a first one 4 MiB, less for an image below 2 GiB.",
    )
    level: Annotated[int, msgspec.Meta(ge=1, le=22)] = setting(
        default=ZSTD_LEVEL_DEFAULT, doc="zstd level of new images, 1 to 22."
    )
    limits: Limits = field(default_factory=Limits)
    torrents: Torrents = field(default_factory=Torrents)
    transports: Mapping[str, Mapping[str, Any]] = setting(
        default={}, doc="One table a transport, such as [transports.unicast]; keys are the transport's own."
    )

    def __post_init__(self) -> None:
        if self.chunk_size & (self.chunk_size - 1) or 0 < self.chunk_size < CHUNK_SIZE_MIN:
            raise ValueError(
                f"key 'chunk_size': {self.chunk_size} is neither 0 nor a power of two from {CHUNK_SIZE_MIN}"
            )
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ValueError(f"key 'log_level': {self.log_level!a} is none of debug, info, warning, error")
        for key, name in (("host", self.host), ("advertise", self.advertise)):
            if name and not (is_host_name(name) or ip_version(name)):
                raise ValueError(f"key '{key}': {name!a} is neither a host name nor an address")
        for name, table in self.transports.items():
            if not isinstance(enabled := table.get("enabled", True), bool):
                raise ValueError(f"key 'transports.{name}.enabled': {enabled!a} is neither true nor false")


def load_settings(layout: Layout, *, flags: Mapping[str, object] | None = None) -> Loaded[Settings]:
    """Settings of one repository. Raises UsageError naming file and key."""
    file: Path | None = layout.settings if layout.settings.exists() else None
    return load(Settings, file=file, environ=os.environ, env_prefix=ENV_PREFIX, flags=flags, where_else=_transport_with)


def check_tables(tables: Mapping[str, Mapping[str, Any]], installed: Iterable[TransportSpec]) -> None:
    """Raise UsageError for a table of no transport, and for what a transport that is not switched off refuses in its
    own, without starting any."""
    kinds = {spec.name: settings_of(spec) for spec in installed}
    for name, table in tables.items():
        if name not in kinds:
            raise UsageError(f"repod.toml: no transport '{name}'", hint=f"installed: {', '.join(kinds)}")
        kind = kinds[name]
        if kind is not None and table.get("enabled", True):
            kind.load({key: value for key, value in table.items() if key != "enabled"})


def _transport_with(key: str) -> str | None:
    """Where a key that is none of Settings belongs. The tables of transports are commented out as a whole: who takes
    the # from a key alone puts it into the table above them."""
    name = key.rpartition(".")[2]
    kinds = {transport: settings_of(spec) for transport, spec in specs().items()}
    tables = [
        f"[transports.{transport}]"
        for transport, kind in kinds.items()
        if kind is not None and name in {field.name for field in dataclasses.fields(kind)}
    ]
    if not tables or key.startswith("transports."):
        return None
    return f"it is a key of {' and '.join(tables)}: is there still a # before the name of that table?"


def render_settings(loaded: Loaded[Settings]) -> str:
    """Every value and where it came from, those of the installed transports too, as TOML with comments."""
    lines = [render(loaded).rstrip("\n")]
    for name, spec in specs().items():
        if (kind := settings_of(spec)) is None:
            continue
        given = loaded.value.transports.get(name, {})
        defaults = {field.name: getattr(kind(), field.name) for field in dataclasses.fields(kind)}
        keys = {"enabled": True} | defaults | dict(given)
        lines += ["", f"[transports.{name}]"]
        for key, value in keys.items():
            origin = loaded.origins["transports"] if key in given else "default"
            lines.append(f"{key} = {toml_value(value)}  # {origin}")
    return "\n".join(lines) + "\n"
