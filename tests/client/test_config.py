from __future__ import annotations

from pathlib import Path

import pytest

from client.config import load_settings
from core.errors import NotFoundError, UsageError

GOOD = """\
url = "https://repo.example:8717"
certificate = '''
-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
'''
token = "secret"
signing_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""


def _written(tmp_path: Path, text: str = GOOD) -> Path:
    path = tmp_path / "client.toml"
    path.write_text(text)
    return path


def test_the_file_is_read_and_flags_count_more(tmp_path: Path) -> None:
    settings = load_settings(_written(tmp_path), repo=None, interface=None)
    assert settings.base_url == "https://repo.example:8717"
    assert settings.host == "repo.example"
    assert settings.public_key == bytes(32)
    other = load_settings(_written(tmp_path), repo="10.0.0.1", interface="eth1")
    assert other.base_url == "https://10.0.0.1:8717"
    assert other.interface == "eth1"
    assert load_settings(_written(tmp_path), repo="https://[::1]:99", interface=None).base_url == "https://[::1]:99"


@pytest.mark.parametrize("url", ["https://[fe80::1%eth0]:99", "https://[fe80::1%25eth0]:99"])
def test_the_zone_of_an_address_may_be_written_as_in_urls(tmp_path: Path, url: str) -> None:
    settings = load_settings(_written(tmp_path), repo=url, interface=None)
    assert settings.host == "fe80::1%eth0"
    assert settings.base_url == "https://[fe80::1%eth0]:99"


def test_the_environment_counts_more_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGCAST_STATE_DIR", "/somewhere")
    assert load_settings(_written(tmp_path), repo=None, interface=None).state_path == Path("/somewhere")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("https://repo.example:8717", "http://repo.example", "url"),
        ("https://repo.example:8717", "https://repo.example:port", "port"),
        ("-----BEGIN CERTIFICATE-----", "", "certificate"),
        ('token = "secret"', 'token = ""', "token"),
        ("AAAAAAAAAAAAAAAAAAA=", "A=", "signing_key"),
        ('token = "secret"', "", "token"),
        ('token = "secret"', 'tokken = "secret"', "tokken"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, old: str, new: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        load_settings(_written(tmp_path, GOOD.replace(old, new)), repo=None, interface=None)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        load_settings(tmp_path / "none.toml", repo=None, interface=None)
    monkeypatch.chdir(tmp_path)
    if not Path("/etc/ogcast/client.toml").exists():
        with pytest.raises(UsageError, match="--config"):
            load_settings(None, repo=None, interface=None)
    _written(tmp_path)
    assert load_settings(None, repo=None, interface=None).token == "secret"


@pytest.mark.parametrize("repo", ["x:y", "[::1", "https://" + "a" * 64 + ".example", "https://a b"])
def test_an_address_that_makes_no_sense_is_blamed_on_the_flag_it_came_from(tmp_path: Path, repo: str) -> None:
    with pytest.raises(UsageError, match=r"^command line: url .* is not of the form https://HOST:PORT"):
        load_settings(_written(tmp_path), repo=repo, interface=None)
