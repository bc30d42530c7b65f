"""What members that joined in the middle of a chunk miss of it: its head, sent when the carousel is there again."""

from __future__ import annotations

__all__ = ["Heads"]


class Heads:
    """For chunks that were being sent when somebody joined: member place to the row that was next."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, int]] = {}

    def note(self, chunk: int, place: int, row: int) -> None:
        """The member at `place` has seen, or will see, rows `row` … of `chunk` only."""
        self._rows.setdefault(chunk, {})[place] = row

    def forget(self, place: int) -> None:
        """The member at `place` lacks nothing any more, or left."""
        for chunk, rows in list(self._rows.items()):
            rows.pop(place, None)
            if not rows:
                del self._rows[chunk]

    def take(self, chunk: int, wanting: int) -> int | None:
        """Rows of `chunk` that are enough for all `wanting` members that lack it; None: all of them."""
        rows = self._rows.pop(chunk, {})
        return max(rows.values()) if rows and len(rows) == wanting else None
