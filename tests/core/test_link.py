from __future__ import annotations

from pathlib import Path

import pytest

from core.link import link_of, link_towards


def _interface(sys: Path, name: str, **files: str) -> None:
    (sys / name).mkdir()
    for file, text in files.items():
        (sys / name / file).write_text(text)


def test_speed_is_in_bytes_a_second(tmp_path: Path) -> None:
    _interface(tmp_path, "eth0", speed="1000\n")
    assert link_of("eth0", sys=tmp_path).bytes_per_s == 125e6
    assert not link_of("eth0", sys=tmp_path).wireless


@pytest.mark.parametrize("text", ["-1\n", "", "fast\n"])
def test_a_speed_that_says_nothing_is_none(tmp_path: Path, text: str) -> None:
    _interface(tmp_path, "eth0", speed=text)
    assert link_of("eth0", sys=tmp_path).bytes_per_s is None


def test_a_wireless_interface_is_known_by_its_folder(tmp_path: Path) -> None:
    _interface(tmp_path, "wlan0")
    (tmp_path / "wlan0" / "wireless").mkdir()
    assert link_of("wlan0", sys=tmp_path).wireless


def test_nothing_is_known_of_an_interface_that_is_not_there(tmp_path: Path) -> None:
    found = link_of("nope", sys=tmp_path)
    assert (found.bytes_per_s, found.wireless) == (None, False)


def test_the_way_to_this_machine_is_the_loopback() -> None:
    found = link_towards("127.0.0.1")
    assert found is not None
    assert found.name == "lo"
    assert found.bytes_per_s is None


@pytest.mark.parametrize("host", ["", "a" * 70 + ".invalid", "::1"])
def test_a_host_nobody_finds_has_no_link(host: str) -> None:
    found = link_towards(host)
    assert found is None or found.name == "lo"  # the empty name is this machine for some resolvers
