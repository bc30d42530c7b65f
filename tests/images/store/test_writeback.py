from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.store import writeback


def test_content_is_unchanged_and_errors_are_left_to_the_sync(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 10_000)
    writeback.start_writeback(fd, 0, 10_000)
    assert os.pread(fd, 10_001, 0) == b"x" * 10_000
    os.close(fd)
    writeback.start_writeback(fd, 0, 10_000)


def test_it_does_nothing_where_the_c_library_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "_sync_file_range", None)
    writeback.start_writeback(-1, 0, 1)
