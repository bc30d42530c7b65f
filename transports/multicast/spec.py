"""What the registry knows of this transport."""

from transports.base import Capabilities, TransportSpec

__all__ = ["TRANSPORT"]

TRANSPORT = TransportSpec(
    name="multicast",
    protocol="MULTICAST",
    server="transports.multicast.server:MulticastServer",
    client="transports.multicast.client:MulticastClient",
    early="transports.multicast.early:listen",
    settings="transports.multicast.settings:MulticastSettings",
    capabilities=Capabilities(shared_send=True, options=True, listens=True),
)
