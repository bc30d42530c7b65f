"""Scenarios of swarms: rooms of peers, on the rig and in virtual time."""
