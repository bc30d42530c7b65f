"""The SMB-like unicast transport (docs/wire-unicast.md). Importing this loads neither half."""

from transports.base import Capabilities, TransportSpec

__all__ = ["TRANSPORT"]

TRANSPORT = TransportSpec(
    name="unicast",
    protocol="UNICAST",
    server="transports.unicast.server:UnicastServer",
    client="transports.unicast.client:UnicastClient",
    settings="transports.unicast.settings:UnicastSettings",
    capabilities=Capabilities(captures=True, fallback=True, listens=True),
)
