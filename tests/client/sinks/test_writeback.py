from __future__ import annotations

import pytest

from client.sinks import writeback
from client.sinks.writeback import WINDOW_BYTES, Writeback


def test_each_window_is_started_and_the_one_before_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int, int]] = []
    monkeypatch.setattr(writeback, "start_writeback", lambda fd, at, size: calls.append(("start", at, size)) or True)
    monkeypatch.setattr(writeback, "wait_writeback", lambda fd, at, size: calls.append(("wait", at, size)))
    behind = Writeback(3)
    half = WINDOW_BYTES // 2
    for number in range(4):
        behind.handle_written(number * half, (number + 1) * half)
    assert calls == [
        ("start", 0, WINDOW_BYTES),
        ("start", WINDOW_BYTES, WINDOW_BYTES),
        ("wait", 0, WINDOW_BYTES),
    ]


def test_where_the_kernel_cannot_nothing_more_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(writeback, "start_writeback", lambda fd, at, size: calls.append(at) or False)
    behind = Writeback(3)
    for _ in range(3):
        behind.handle_written(0, WINDOW_BYTES)
    assert calls == [0]
