"""Needs: chunks that nobody within reach has and nobody is getting. Repod is asked when that lasts."""

from __future__ import annotations

from collections.abc import Sequence

from transports.p2p.proto.limits import NEED_AFTER_S

__all__ = ["NEED_CHUNKS", "Needs"]

NEED_CHUNKS = 8
"""Named at a time: the lowest, which hold up the window."""


class Needs:
    """Each chunk is named again as long as it is lacking, every NEED_AFTER_S seconds."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._due: list[int] = []

    def handle_lacking(self, chunks: Sequence[int], now: float) -> None:
        """All that cannot be had now, in rising order."""
        self._since = {chunk: self._since.get(chunk, now) for chunk in chunks[:NEED_CHUNKS]}
        self._due = [chunk for chunk, since in self._since.items() if now >= since + NEED_AFTER_S]
        self._since.update(dict.fromkeys(self._due, now))

    def poll(self) -> list[int]:
        """Those to ask repod for."""
        due, self._due = self._due, []
        return due
