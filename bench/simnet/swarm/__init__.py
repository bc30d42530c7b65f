"""Swarms in virtual time: the machines of transports/p2p/proto over links that carry exactly what their rate allows."""
