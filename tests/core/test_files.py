"""Small files are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.files import write_atomically


def test_content_and_mode_are_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    write_atomically(path, "new", mode=0o600)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"new")
    assert (path / "inside").is_dir()
    assert os.listdir(tmp_path) == ["folder"]
