"""Networks in virtual time that drive the pure machines of transports: a multicast room here, swarms in `swarm`."""
