"""A multicast network in virtual time that drives the machines of transports/multicast/proto."""
