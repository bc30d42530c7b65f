"""What a swarm's asking side hands out: requests to make or take back, and how often it had to do what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Asking", "SwarmFigures"]


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
