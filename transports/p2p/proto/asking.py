"""What a swarm's asking side hands out: requests to make or take back, and how often it had to do what."""

from __future__ import annotations

import msgspec

__all__ = ["Asking", "SwarmFigures"]


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Ask `source` for `chunk`."""

    source: int
    chunk: int


class SwarmFigures(msgspec.Struct, kw_only=True):
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
