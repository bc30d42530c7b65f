"""One place that says what happened: the log line, the event of the stream, and the counter."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.logs import get_logger
from repod.events import EventHub

__all__ = ["Telling"]

QUIET = frozenset({"session_report", "lane_opened", "lane_closed"})
"""Events too frequent for the log at its usual level."""
TROUBLE = frozenset(
    {
        "accept_failed",
        "bad_chunk",
        "capture_expired",
        "capture_failed",
        "cast_crashed",
        "chunk_unreadable",
        "disk_trouble",
        "error",
        "lane_fault",
        "offer_refused",
        "peer_banned",
        "peer_discredited",
        "sending_failed",
        "session_expired",
    }
)
"""What an operator who reads only warnings is to see, of the daemon and of its transports."""


class Telling:
    """Tells what happens. Use on the event loop only."""

    def __init__(self, events: EventHub) -> None:
        self._events = events
        self._log = get_logger("repod")
        self.counts: Counter[str] = Counter()
        """How often each event happened; names come from code, so they are few."""
        self.happened = asyncio.Event()
        """Set whenever something happens; whoever waits for it clears it first."""

    def tell(self, name: str, /, **fields: Any) -> None:
        """Something happened. `fields` are JSON values without secrets."""
        self.tell_mapping(name, fields)

    def tell_mapping(self, name: str, fields: Mapping[str, Any]) -> None:
        """As `tell`, for fields whose names are not ours."""
        self.counts[name] += 1
        self.happened.set()
        self._events.publish(name, time=time.time(), fields=fields)
        shown = {f"{key}_" if key in ("event", "level", "logger", "timestamp") else key: v for key, v in fields.items()}
        if name in QUIET:
            self._log.debug(name, **shown)
        elif name in TROUBLE:
            self._log.warning(name, **shown)
        else:
            self._log.info(name, **shown)
