"""Who is connected and has shown nothing yet: whom to hang up on when there are too many. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["STRANGER_S", "Callers"]

STRANGER_S = 1.0
"""Who has shown no token, no secret of a torrent, no key of a session, may stay so long when others want the place."""

Caller = TypeVar("Caller", bound=Hashable)


class Callers(Generic[Caller]):
    """Strangers, the one that came first in front. Whoever is not in here has shown something, or is gone."""

    def __init__(self) -> None:
        self._since: dict[Caller, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def handle_connected(self, caller: Caller, *, now: float) -> None:
        """A stranger is here."""
        self._since[caller] = now

    def handle_known(self, caller: Caller) -> None:
        """It has shown what it needs; harmless when repeated."""
        self._since.pop(caller, None)

    def handle_gone(self, gone: Callable[[Caller], bool]) -> None:
        """Forget all that are `gone`."""
        self._since = {caller: since for caller, since in self._since.items() if not gone(caller)}

    def poll_displaced(self, *, now: float) -> Caller | None:
        """Whom to hang up on so that another has its place; it is forgotten here. None: all of them have just come."""
        for caller, since in self._since.items():
            if now - since < STRANGER_S:
                return None
            del self._since[caller]
            return caller
        return None
