"""What listens early, by protocol, for who cannot wait until the registry is imported.

A transport says it in its `TransportSpec.early`. Of ogcast's own it is written here a second time, and a test
compares the two; those of others are asked for in the registry.
"""

from __future__ import annotations

__all__ = ["LISTENERS", "SHARED", "SILENT", "listeners_for"]

LISTENERS = {
    "MULTICAST": ("multicast", "transports.multicast.early:listen"),
    "TORRENT": ("p2p", "transports.p2p.early:listen"),
}
"""Name of the transport and import path of its `Listen`, by protocol."""
SHARED = ("MULTICAST",)
"""Those of transports with `shared_send`: what a client that has the choice listens to, for where many begin at once,
one sending serves all."""
SILENT = frozenset({"UNICAST"})
"""Protocols of ogcast's own that have none."""


def listeners_for(protocol: str, *, chooses: bool) -> dict[str, str]:
    """Import path of `Listen` by name of the transport, for a protocol in upper case; empty where none listens early.

    Raises UsageError for a protocol that nobody brings.
    """
    if chooses:
        return dict(LISTENERS[shared] for shared in SHARED)
    if protocol in LISTENERS:
        return dict([LISTENERS[protocol]])
    if protocol in SILENT:
        return {}
    from transports import registry

    spec = registry.by_protocol(protocol)
    return {spec.name: spec.early} if spec.early else {}
