from __future__ import annotations

import pytest

from client.bar import BarReporter
from tests.client.test_events import DONE, PROGRESS


def test_the_bar_shows_figures_and_the_result_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = BarReporter()
    reporter.event("stage", {"stage": "restore", "message": "[x] pc1"})
    reporter.event("progress", PROGRESS)
    reporter.event("progress", {**PROGRESS, "left_s": None, "total_bytes": 0, "done_bytes": 0})
    reporter.event("done", DONE)
    reporter.close()
    captured = capsys.readouterr()
    assert "[55] [x] pc1" in captured.err
    assert captured.out.startswith("[100] restore pc1@1")
