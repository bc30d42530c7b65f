"""Picker: which chunk of a want-map is asked for next, and when there is none any more."""

from __future__ import annotations

from collections import deque

from core.wantmap import WantMap

__all__ = ["MAX_REJECTIONS", "Picker"]

AHEAD_CHUNKS = 256
"""Chunks read from the map at once: looking at the map costs more than looking at a list."""

MAX_REJECTIONS = 3
"""Times one chunk may turn out wrong before it is given up."""


class Picker:
    """Walks the map in rising order, which is the disk's; refused chunks come first, before the disk has moved on.

    A chunk is asked (`take` … `arrived` or `returned`), held (until `accept` or `reject`), done, or given up.
    """

    def __init__(self, want: WantMap) -> None:
        self._want = want
        self._asked: set[int] = set()
        self._held: set[int] = set()
        self._done = WantMap(want.count, full=False)
        self._again: deque[int] = deque()
        self._rejections: dict[int, int] = {}
        self._given_up: dict[int, str] = {}
        self._ahead: deque[int] = deque()
        self._cursor = 0

    @property
    def busy(self) -> bool:
        """Something is asked or held."""
        return bool(self._asked or self._held)

    @property
    def under_way(self) -> frozenset[int]:
        """Asked for, or come and not judged."""
        return frozenset(self._asked | self._held)

    @property
    def held(self) -> frozenset[int]:
        """Come and not judged."""
        return frozenset(self._held)

    def count(self, limit: int) -> int:
        """How many could be taken now, up to `limit`."""
        again = sum(1 for chunk in self._again if chunk in self._want)
        return again if again >= limit else again + self._look(limit - again)

    def take(self, limit: int) -> list[int]:
        """Up to `limit` chunks to ask for."""
        chunks: list[int] = []
        for source in (self._again, self._ahead):
            self._look(limit - len(chunks))
            while source and len(chunks) < limit:
                chunk = source.popleft()
                if self._usable(chunk):
                    self._asked.add(chunk)
                    chunks.append(chunk)
        return chunks

    def rewind(self) -> bool:
        """Begin again at the first chunk still to be asked for; False when there is none."""
        self._ahead.clear()
        self._cursor = 0
        return self._look(1) > 0

    def arrived(self, chunk: int) -> None:
        """It came and goes to the session."""
        self._asked.discard(chunk)
        self._held.add(chunk)

    def returned(self, chunk: int) -> None:
        """It will not come, or nobody wanted it when it did: asked for again if it is wanted then."""
        self._asked.discard(chunk)
        if chunk in self._want:
            self._again.append(chunk)

    def accept(self, chunk: int) -> None:
        """It was good."""
        self._held.discard(chunk)
        if chunk in self._want:
            # The session takes it out of the map in its own time; until then it is not asked for again.
            self._done.add(chunk)

    def reject(self, chunk: int, reason: str) -> None:
        """It was not what its digest says: asked for again, MAX_REJECTIONS times in all."""
        self._held.discard(chunk)
        self._rejections[chunk] = count = self._rejections.get(chunk, 0) + 1
        if count >= MAX_REJECTIONS:
            self.give_up(chunk, f"{reason} ({count} times)")
        else:
            self._again.append(chunk)

    def give_up(self, chunk: int, reason: str) -> None:
        """It cannot be had."""
        self._asked.discard(chunk)
        self._given_up[chunk] = reason

    @property
    def lost(self) -> dict[int, str]:
        """Chunks given up and still wanted, with the reason."""
        return {chunk: reason for chunk, reason in self._given_up.items() if chunk in self._want}

    def _usable(self, chunk: int) -> bool:
        return (
            chunk in self._want
            and chunk not in self._asked
            and chunk not in self._held
            and chunk not in self._done
            and chunk not in self._given_up
        )

    def _look(self, limit: int) -> int:
        """Make up to `limit` usable chunks lie ahead; how many do."""
        count = 0
        position = 0
        while count < limit:
            if position == len(self._ahead):
                found = self._want.next_from(self._cursor, AHEAD_CHUNKS)
                self._cursor = found[-1] + 1 if found else self._want.count
                self._ahead.extend(chunk for chunk in found if self._usable(chunk))
                if not found:
                    break
            elif self._usable(self._ahead[position]):
                count += 1
                position += 1
            else:
                del self._ahead[position]
        return count
