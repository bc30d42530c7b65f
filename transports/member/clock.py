"""The clock of a server of members: its turn comes again and again, whatever became of the one before."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from core.errors import OgcastError

__all__ = ["Clock"]


class Clock:
    """`start` and `stop` on one loop; `stop` is harmless when repeated.

    Without it nobody's start comes, no silent member leaves and nothing is shared out: so no turn ends it. What a turn
    raises is counted as `ticks_failed`; a fault of this program is told to the loop as well, once until it is another.
    """

    def __init__(self, turn: Callable[[], Awaitable[None]], *, interval_s: float, counts: Counter[str]) -> None:
        """`counts` is the server's and gets `ticks_failed`."""
        self._turn = turn
        self._interval_s = interval_s
        self._counts = counts
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    def start(self) -> None:
        """The first turn comes after one interval."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """No turn is under way afterwards. Raises nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """A part of a turn whose failure keeps no other part from its turn: the next turn looks again."""
        try:
            yield
        except (OgcastError, OSError):  # a disk that stumbles, no descriptor left
            self._counts["ticks_failed"] += 1
        except Exception as error:
            self._counts["ticks_failed"] += 1
            told, self._told = self._told, repr(error)
            if self._told != told:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a fault of this program; please report it", "exception": error}
                )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            with self.guarded():
                await self._turn()
