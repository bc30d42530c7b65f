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
