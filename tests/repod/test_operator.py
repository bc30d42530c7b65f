from __future__ import annotations

import socket
from pathlib import Path

import pytest

from core.errors import ConnectionFailedError, NotFoundError, UsageError
from repod.operator import ask


def _settings(folder: Path, **values: str) -> Path:
    path = folder / "operator.toml"
    path.write_text("\n".join(f'{key} = """{value}"""' for key, value in values.items()))
    return path


def test_settings_that_are_missing_or_incomplete_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        ask(tmp_path / "operator.toml", "/sessions")
    with pytest.raises(UsageError, match="certificate"):
        ask(_settings(tmp_path, url="https://h:1"), "/sessions")
    with pytest.raises(UsageError, match="https"):
        ask(_settings(tmp_path, url="http://h:1", certificate="x", token="t"), "/sessions")


def test_a_daemon_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    import datetime

    from repod.certificate import make_certificate

    made = make_certificate(["localhost"], now=datetime.datetime.now(datetime.UTC))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = _settings(tmp_path, url="https://h:1", certificate=made.certificate.decode(), token="t")
    with pytest.raises(ConnectionFailedError, match=str(port)):
        ask(settings, "/sessions", url=f"https://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["https://[::1", "https://h:port", "https://h:70000", "https://", "h"])
def test_a_url_that_is_none_is_wrong_usage(tmp_path: Path, url: str) -> None:
    settings = _settings(tmp_path, url="https://h:1", certificate="x", token="t")
    with pytest.raises(UsageError, match="HOST:PORT"):
        ask(settings, "/sessions", url=url)
