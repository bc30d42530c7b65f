"""One open lane of a session: its transport's Incoming, run by a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from core.quota import Quota
from core.wantmap import WantMap
from transports.base import Delivery, Incoming, Outlook, Steerable

__all__ = ["Lane"]


class Lane:
    """Opens, delivers and closes; `on_delivery` gets each delivery, `on_change` is called when it opened or ended.

    It has ended only when everything it delivered was judged: what is being judged is not to be fetched from others.
    """

    def __init__(
        self,
        name: str,
        *,
        share: WantMap,
        quota: Quota,
        fetch: Callable[[], AbstractAsyncContextManager[Incoming]],
        on_delivery: Callable[[Lane, Delivery], None],
        on_change: Callable[[], None],
        stands_by: bool,
    ) -> None:
        """A lane that `stands_by` is kept open while its share is empty; others end then."""
        self.name = name
        self.share = share
        self.quota = quota
        self.error: Exception | None = None
        """Why it ended, if it did not end well."""
        self.opened = False
        self.ended = False
        self._fetch = fetch
        self._on_delivery = on_delivery
        self._on_change = on_change
        self._stands_by = stands_by
        self._incoming: Incoming | None = None
        self._steerable: Steerable | None = None
        """The same, if it is one: to find that out takes longer than to ask it."""
        self._judging = 0
        self._left = False
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"lane {name}")
        self._task.add_done_callback(self._handle_end)  # a task that is cancelled early never runs

    @property
    def failure(self) -> Exception:
        """`error` of a lane that has one."""
        assert self.error is not None
        return self.error

    def accept(self, delivery: Delivery) -> None:
        """A delivery was good."""
        self._judged()
        if self._incoming is not None:
            self._incoming.accept(delivery)

    def reject(self, delivery: Delivery, reason: str) -> None:
        """A delivery was not what its digest says."""
        self._judged()
        if self._incoming is not None:
            self._incoming.reject(delivery, reason)

    def outlook(self) -> Outlook | None:
        """How the chunks of its share stand; None if it does not say."""
        return None if self._steerable is None else self._steerable.outlook()

    def wake(self) -> None:
        """Its share has grown."""
        self._news.set()

    def leave(self) -> None:
        """Close it; `on_change` is called when that is done. A second cancellation would cut its closing short."""
        if not self._left:
            self._left = True
            self._task.cancel()

    async def close(self) -> None:
        """Close it now, whatever is being judged."""
        self._judging = 0
        self._news.set()
        self.leave()
        await asyncio.gather(self._task, return_exceptions=True)

    # ------------------------------------------------------------------ inside

    async def _run(self) -> None:
        try:
            await self._deliver()
        except asyncio.CancelledError:
            pass  # closed, or the session ends
        except Exception as error:  # whoever opened it decides what follows
            self.error = error
        while self._judging:
            self._news.clear()
            await self._news.wait()

    async def _deliver(self) -> None:
        async with self._fetch() as incoming:
            if self._left:  # what races connections may swallow a cancellation while it tidies up
                return
            self._incoming, self.opened = incoming, True
            self._steerable = incoming if isinstance(incoming, Steerable) else None
            self._on_change()
            try:
                while True:
                    while self._stands_by and not len(self.share):
                        self._news.clear()
                        await self._news.wait()
                    try:
                        delivery = await incoming.__anext__()
                    except StopAsyncIteration:
                        if self._stands_by and not len(self.share):
                            continue
                        return
                    self._judging += 1
                    self._on_delivery(self, delivery)
            finally:
                self._incoming = self._steerable = None

    def _handle_end(self, task: asyncio.Task[None]) -> None:
        self.ended = True
        self._on_change()

    def _judged(self) -> None:
        self._judging = max(0, self._judging - 1)
        self._news.set()
