"""OpenGnsys' option string of the torrent protocols, as its consoles write it: `mode[:seconds]`, such as `peer:60`.

A `peer` gives to others while it takes, and for some seconds after it has everything; a `seeder` goes on giving until
it is stopped, or for the seconds it names; a `leecher` never gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import UsageError
from transports.p2p.proto.limits import SECONDS_MAX

__all__ = ["MODES", "SwarmOptions", "parse_options"]

MODES = ("peer", "seeder", "leecher")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """What an option string asks for."""

    mode: str
    seconds: int
    """For so long at most a client gives to others after it has everything; 0: a seeder without end, a peer not at
    all."""


def parse_options(text: str, *, default: SwarmOptions) -> SwarmOptions:
    """`default` says what `text` leaves open; a seeder has no end unless it names one. UsageError names the field."""
    mode, colon, seconds = (text.strip() or default.mode).partition(":")
    if mode.lower() not in MODES:
        raise UsageError(f"mode {mode[:32]!a} of torrent", hint=f"modes: {', '.join(MODES)}; such as peer:60")
    if not colon:
        return SwarmOptions(mode=mode.lower(), seconds=0 if mode.lower() == "seeder" else default.seconds)
    if not re.fullmatch(r"[0-9]{1,9}", seconds) or int(seconds) > SECONDS_MAX:
        raise UsageError(
            f"seconds {seconds[:32]!a} of torrent", hint=f"a number from 0 to {SECONDS_MAX}; such as {mode.lower()}:60"
        )
    return SwarmOptions(mode=mode.lower(), seconds=int(seconds))
