"""The name of this machine is never longer than a repository takes."""

from __future__ import annotations

import socket

import msgspec
import pytest

from core.hostname import NAME_MAX_CHARS, host_name, is_host_name
from transports.control import CaptureRequest


@pytest.mark.parametrize(
    "name", ["a", "pc-17.lab.example", "10.0.0.1", "x" * 63, "og_server", "repo.example.", "x." * 127]
)
def test_names_that_can_be_looked_up(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "x" * 64, "a b", "a/b", "\u00e4.example", "x." * 127 + "x", "-", "::1", "a:1"]
)
def test_names_that_cannot(name: str) -> None:
    assert not is_host_name(name)


def test_it_is_the_name_the_system_has() -> None:
    assert host_name() == socket.gethostname()


def test_a_long_name_is_cut_to_what_a_repository_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "x" * 2 * NAME_MAX_CHARS)
    request = CaptureRequest(name="classroom", host=host_name())
    assert msgspec.json.decode(msgspec.json.encode(request), type=CaptureRequest) == request
