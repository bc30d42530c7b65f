"""`repod sessions` without a daemon; tests/integration/test_multicast_room.py asks a running one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.repod.commands.conftest import Outcome


def test_without_a_daemon_it_says_where_it_asked(repod: Callable[..., Outcome], tmp_path: Path) -> None:
    assert repod("init", tmp_path / "r", "--host", "127.0.0.1", "--port", "1").code == 0
    ended = repod("sessions", tmp_path / "r")
    assert ended.code == 23
    assert "https://127.0.0.1:1" in ended.err


def test_a_folder_that_is_no_repository_is_refused(repod: Callable[..., Outcome], tmp_path: Path) -> None:
    assert repod("sessions", tmp_path).code == 23


def test_a_folder_with_an_operator_s_settings_alone_is_enough(repod: Callable[..., Outcome], tmp_path: Path) -> None:
    assert repod("init", tmp_path / "r", "--host", "127.0.0.1", "--port", "1").code == 0
    (tmp_path / "operator.toml").write_bytes((tmp_path / "r" / "operator.toml").read_bytes())
    assert "https://127.0.0.1:1" in repod("sessions", tmp_path).err
