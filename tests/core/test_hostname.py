"""The name of this machine is never longer than a repository takes."""

from __future__ import annotations

import socket

import msgspec
import pytest

from core.hostname import NAME_MAX_CHARS, host_name
from transports.control import CaptureRequest


def test_it_is_the_name_the_system_has() -> None:
    assert host_name() == socket.gethostname()


def test_a_long_name_is_cut_to_what_a_repository_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "x" * 2 * NAME_MAX_CHARS)
    request = CaptureRequest(name="classroom", host=host_name())
    assert msgspec.json.decode(msgspec.json.encode(request), type=CaptureRequest) == request
