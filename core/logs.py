"""Structured logs: lines for a person on a terminal, JSON objects otherwise; one set-up for structlog and stdlib.

structlog takes a tenth of a second to import, so programs that must start at once import this module only when
they log.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from core.errors import UsageError

__all__ = ["LEVELS", "Logger", "configure", "get_logger"]

LEVELS = ("debug", "info", "warning", "error")

Logger = structlog.stdlib.BoundLogger


def configure(level: str = "info", *, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error). `json` None means: unless it is a terminal.

    Call once, before the first log line; calling again replaces the set-up. Raises UsageError for an unknown level.
    """
    if level not in LEVELS:
        raise UsageError(f"unknown log level {level!a}", hint="one of " + ", ".join(LEVELS))
    out = sys.stderr if stream is None else stream
    as_json = not out.isatty() if json is None else json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # the rich one prints variables, secrets too
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def get_logger(name: str) -> Logger:
    """The logger of one part of the program: `repod.sessions`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger
