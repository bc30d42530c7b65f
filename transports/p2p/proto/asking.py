"""What a swarm's asking side hands out: requests to make or take back, and how often it had to do what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Asking", "SwarmFigures", "coin"]


def coin(seed: int, peer: int, chunk: int) -> bool:
    """Heads or tails, always the same for the same three: half of those who wait for one holder go to the next."""
    return bool(((seed * 0x9E3779B1) ^ (peer * 0x85EBCA6B) ^ (chunk * 0xC2B2AE35)) >> 16 & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Ask `source` for `chunk`."""

    source: int
    chunk: int


@dataclass(slots=True, kw_only=True)
class SwarmFigures:
    """Running totals."""

    duplicates: int = 0
    """Chunks that came twice."""
    spares: int = 0
    """Chunks asked of a second source."""
    moved: int = 0
    """Requests taken back from a busy neighbour for an idle one."""
    expired: int = 0
    needs: int = 0
    returned: int = 0
    """Assignments given back."""
