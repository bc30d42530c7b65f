"""Logs: JSON lines for machines, text for terminals, one set-up for structlog and stdlib."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from core.errors import UsageError
from core.logs import configure, get_logger


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers, root.level = before


def test_lines_are_json_objects_when_nobody_watches() -> None:
    out = io.StringIO()
    configure("info", stream=out)
    get_logger("repod.test").info("session opened", session="s1", chunks=3)
    logging.getLogger("aiohttp.server").warning("from %s", "stdlib")
    get_logger("repod.test").debug("not shown")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["session"], first["level"], first["logger"]) == (
        "session opened",
        "s1",
        "info",
        "repod.test",
    )
    assert second["event"] == "from stdlib"


def test_an_exception_stays_on_one_json_line() -> None:
    out = io.StringIO()
    configure("info", json=True, stream=out)
    try:
        raise RuntimeError("odd")
    except RuntimeError:
        get_logger("x").exception("failed")
    (line,) = out.getvalue().splitlines()
    assert "RuntimeError: odd" in json.loads(line)["exception"]


def test_text_for_a_person() -> None:
    out = io.StringIO()
    configure("debug", json=False, stream=out)
    get_logger("x").debug("hello", a=1)
    assert "hello" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UsageError, match="loud"):
        configure("loud")
