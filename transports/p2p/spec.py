"""What the registry knows of this transport."""

from transports.base import Capabilities, TransportSpec

__all__ = ["TRANSPORT"]

TRANSPORT = TransportSpec(
    name="p2p",
    protocol="TORRENT",
    server="transports.p2p.server:SwarmServer",
    client="transports.p2p.client:SwarmClient",
    early="transports.p2p.early:listen",
    settings="transports.p2p.settings:SwarmSettings",
    capabilities=Capabilities(needs_peers=True, seeds=True, options=True, listens=True),
)
