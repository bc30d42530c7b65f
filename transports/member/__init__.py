"""Member lanes: how a client is known to repod while it takes part in something many share (a cast, a swarm).

One TCP connection, the handshake of a unicast lane, then small msgpack messages both ways. What the messages say is
the business of each transport.
"""
