"""Sockets of a cast: trains of packets out to a group, and in from it."""
