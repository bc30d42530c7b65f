"""What opening a session takes is read as the loader reads it, or left to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.config import load_settings
from client.first_settings import read_settings

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
KEY = "A" * 43 + "="
URL = "https://repo.example:9000"


def _file(folder: Path, *more: str, url: str = URL) -> Path:
    path = folder / "c.toml"
    lines = [f'url = "{url}"', f'certificate = """\n{PEM}"""', 'token = "t0"', f'signing_key = "{KEY}"', *more]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("more", "repo", "interface", "environ"),
    [
        ((), None, None, {}),
        ((), "other:1", None, {}),
        ((), "https://other", "eth1", {}),
        (('interface = "eth0"', 'state_dir = "/s"'), None, None, {}),
        (('interface = "eth0"',), None, "eth9", {"OGCAST_INTERFACE": "eth5", "OGCAST_TOKEN": "t9"}),
        ((), None, None, {"OGCAST_URL": "https://10.0.0.1:5/", "OGCAST_STATE_DIR": "/x", "OGCAST_INTERFACE": "e"}),
        ((), None, None, {"XDG_STATE_HOME": "/home/x/state"}),
    ],
)
def test_every_value_is_the_loaders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    repo: str | None,
    interface: str | None,
    environ: dict[str, str],
) -> None:
    path = _file(tmp_path, *more)
    for name in ("URL", "TOKEN", "INTERFACE", "STATE_DIR", "CERTIFICATE"):
        monkeypatch.delenv(f"OGCAST_{name}", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    first = read_settings(str(path), repo=repo, interface=interface)
    whole = load_settings(path, repo=repo, interface=interface)
    assert first is not None
    assert f"https://{first.host}:{first.port}" == whole.base_url
    assert (first.host, first.certificate, first.token, first.interface) == (
        whole.host,
        whole.certificate,
        whole.token,
        whole.interface,
    )
    assert first.state_path == str(whole.state_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://",
        "https://u@h:1",
        "https://[::1",
        "https://[::1]5",
        "https://[10.0.0.5]:5",
        "https://[fe80::1%eth0]:5",
        "https://::1:5",
        "https://h:0",
        "https://h:70000",
        "https://h:x",
        "https://h:" + 5000 * "1",
        "h",
        "https://h/p",
    ],
)
def test_an_address_in_other_words_is_left_to_the_loader(tmp_path: Path, url: str) -> None:
    assert read_settings(str(_file(tmp_path, url=url)), repo=None, interface=None, environ={}) is None


@pytest.mark.parametrize(("url", "port"), [("https://[FD00::5]", 8717), ("https://[fd00::5]:9", 9)])
def test_an_address_of_ipv6_is_read_as_the_loader_reads_it(tmp_path: Path, url: str, port: int) -> None:
    path = _file(tmp_path, url=url)
    first = read_settings(str(path), repo=None, interface=None, environ={})
    assert first is not None
    assert (first.host, first.port) == ("fd00::5", port)
    assert load_settings(path, repo=None, interface=None).host == first.host


def test_a_file_that_is_not_plain_or_not_whole_is_left_to_the_loader(tmp_path: Path) -> None:
    assert read_settings(str(_file(tmp_path, "[table]")), repo=None, interface=None, environ={}) is None
    assert read_settings(str(_file(tmp_path, "interface = 1")), repo=None, interface=None, environ={}) is None
    (tmp_path / "c.toml").write_bytes(b'url = "\xff"')
    assert read_settings(str(tmp_path / "c.toml"), repo=None, interface=None, environ={}) is None
    (tmp_path / "c.toml").write_text(f'url = "{URL}"')
    assert read_settings(str(tmp_path / "c.toml"), repo=None, interface=None, environ={}) is None
    with pytest.raises(FileNotFoundError):
        read_settings(str(tmp_path / "none.toml"), repo=None, interface=None, environ={})


def test_without_a_file_there_is_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.first_settings.CANDIDATES", (str(tmp_path / "none.toml"),))
    assert read_settings(None, repo=None, interface=None, environ={}) is None
