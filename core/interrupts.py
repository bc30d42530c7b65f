"""Signals that wait for a moment, where what they raise would do harm."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["held_interrupts"]

_HELD = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def held_interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM take effect when the block has ended. For milliseconds only; not for a running event loop.

    msgspec 0.23 was seen to end with a segmentation fault where KeyboardInterrupt came within its `convert`, in a few
    of a hundred starts that were interrupted after a tenth of a second. In another thread than the main one nothing is
    held: Python runs no handler there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in _HELD}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: set by other code than Python's, which cannot be given back; the system's own way is
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for each in dict.fromkeys(came):
            signal.raise_signal(each)
