"""`ogcast deploy` against the real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UsageError
from tests.client.conftest import Room
from transports.control import SHORT_CHARS


def test_deploy_fills_the_cache_then_restores_from_it(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    ended = room.ogcast("deploy", "room1", target, "--method", "UNICAST-CACHE", "--cache", tmp_path / "cache")
    assert ended.code == 0, ended.errors
    assert ended.last["bytes_by_source"] == {"cache": room.image.stored_bytes}
    assert ended.last["update"]["bytes_by_source"] == {"repository": room.image.distinct_bytes}
    assert target.read_bytes() == room.image.content
    assert ended.last["update"]["seconds"] < ended.last["seconds"]


def test_deploy_with_a_direct_method_needs_no_cache(room: Room, tmp_path: Path) -> None:
    target = tmp_path / "disk.img"
    ended = room.ogcast("deploy", "room1", target, "--method", "UNICAST-DIRECT")
    assert ended.code == 0
    assert ended.last["bytes_by_source"] == {"repository": room.image.stored_bytes}


def test_a_target_that_is_no_disk_is_refused_before_the_cache_is_filled(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("deploy", "room1", "/dev/null", "--cache", tmp_path / "cache")
    assert ended.code == 3
    assert not (tmp_path / "cache").exists()


def test_an_option_string_that_no_message_can_carry_is_told_in_words(room: Room, tmp_path: Path) -> None:
    words = ("--method", "MULTICAST-DIRECT", "--options", "9" * (SHORT_CHARS + 1))
    ended = room.ogcast("deploy", "room1", tmp_path / "disk.img", *words)
    assert ended.code == UsageError.exit_code
    assert ended.last["message"] == f"the option string has {SHORT_CHARS + 1} characters"
    assert not (tmp_path / "disk.img").exists()


@pytest.mark.parametrize(("options", "told"), [("9000:full-duplex", 1), ("", 0)])
def test_an_option_string_that_the_protocol_has_no_use_for_is_said_to_change_nothing(
    room: Room, tmp_path: Path, options: str, told: int
) -> None:
    words = ("--method", "UNICAST-DIRECT", "--options", options)
    ended = room.ogcast("deploy", "room1", tmp_path / "disk.img", *words)
    assert ended.code == 0, ended.errors
    notices = [event["message"] for event in ended.events if event["event"] == "notice"]
    assert notices == ["UNICAST has no option string; '9000:full-duplex' changes nothing"] * told


@pytest.mark.parametrize("words", [("restore", "--method", "UNICAST-DIRECT"), ("deploy",), ("update-cache",)])
def test_no_stage_is_told_of_what_is_refused(room: Room, tmp_path: Path, words: tuple[str, ...]) -> None:
    command, *options = words
    target = [] if command == "update-cache" else [str(tmp_path / "disk.img")]
    cache = ["--cache", str(tmp_path / "cache")]
    for before, wrong in ((["--interface", "nosuch0"], []), ([], ["--options", "9" * (SHORT_CHARS + 1)])):
        ended = room.ogcast(*before, command, "room1", *target, *options, *cache, *wrong)
        assert ended.code == UsageError.exit_code
        assert [event["event"] for event in ended.events] == ["error"]


def test_without_a_cache_the_method_is_not_changed(room: Room, tmp_path: Path) -> None:
    ended = room.ogcast("deploy", "room1", tmp_path / "disk.img", "--cache", tmp_path / "no" / "such")
    assert ended.code == 15
    assert not (tmp_path / "disk.img").exists()


def test_a_setting_that_names_no_protocol_is_told_before_the_target_is_made(room: Room, tmp_path: Path) -> None:
    config = tmp_path / "client.toml"
    config.write_text(room.config.read_text() + '\nrestore_protocol_not_cache = "PIGEON"\n')
    ended = room.ogcast("deploy", "room1", tmp_path / "disk.img", "--cache", tmp_path / "cache", config=config)
    assert ended.code == 1
    assert "PIGEON" in ended.last["message"]
    assert not (tmp_path / "disk.img").exists()


def test_where_there_is_no_cache_the_protocol_of_the_settings_restores(room: Room, tmp_path: Path) -> None:
    config = tmp_path / "client.toml"
    config.write_text(room.config.read_text() + '\nrestore_protocol_not_cache = "UNICAST"\n')
    target = tmp_path / "disk.img"
    ended = room.ogcast("deploy", "room1", target, "--cache", tmp_path / "no" / "such", config=config)
    assert (ended.code, ended.last["method"]) == (0, "UNICAST-DIRECT")
    assert any("UNICAST-DIRECT" in event.get("message", "") for event in ended.events if event["event"] == "warning")
    assert target.read_bytes() == room.image.content
