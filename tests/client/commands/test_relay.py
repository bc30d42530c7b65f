"""What `ogcast relay` refuses; tests/client/test_relaying.py runs one."""

from __future__ import annotations

from pathlib import Path

from tests.client.conftest import Room


def test_an_image_nobody_has_is_an_error_before_anything_is_served(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("relay", "no-such-image", "--store", tmp_path / "relay", "--serve-interface", "lo")
    assert ended.code == 2
    assert ended.last["event"] == "error"


def test_a_store_is_needed(room: Room) -> None:
    assert room.ogcast("relay", "room1").code != 0


def test_a_store_that_cannot_be_made_is_wrong_usage_as_repod_says(room: Room, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = room.ogcast("relay", "room1", "--store", tmp_path / "file", "--serve-interface", "lo")
    assert ended.code == 1
    assert "is not an empty folder" in ended.last["message"]
    assert ended.last["hint"] == "nothing was changed; choose another folder"
