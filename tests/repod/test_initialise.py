"""Making a repository: complete and private, or not at all; nothing that exists is touched."""

from __future__ import annotations

import base64
import datetime
import os
import re
import socket
import ssl
import tomllib
from pathlib import Path

import pytest
from cryptography import x509

from core.errors import RepositoryError, UsageError
from images.repository import Repository
from repod.initialise import default_host, initialise
from repod.layout import Layout
from repod.settings import load_settings
from transports.registry import settings_of, specs

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_an_empty_folder_keeps_its_mode(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir(mode=0o700)
    initialise(root, hosts=["h"], now=NOW)
    assert root.stat().st_mode & 0o777 == 0o700


def test_it_has_all_that_serving_needs_and_secrets_are_private(tmp_path: Path) -> None:
    root = tmp_path / "new" / "repository"
    made = initialise(root, hosts=["images.example.org", "10.0.0.5"], now=NOW)
    layout = Layout(root)
    assert made.url == "https://images.example.org:8717"
    with Repository.open(root) as repository:
        assert list(repository.images()) == []
    for path in (layout.signing_key, layout.tls_key, layout.tokens, layout.client, layout.operator):
        assert path.stat().st_mode & 0o777 == 0o600, path
    client = tomllib.loads(layout.client.read_text())
    assert set(client) == {"url", "certificate", "token", "signing_key"}
    assert client["url"] == made.url
    assert base64.b64decode(client["signing_key"]) == layout.load_signing_key().public
    ssl.create_default_context(cadata=client["certificate"])
    assert client["token"] != tomllib.loads(layout.operator.read_text())["token"]
    assert os.listdir(root.parent) == ["repository"]


def test_the_certificate_names_the_hosts_given_and_this_machine(tmp_path: Path) -> None:
    initialise(tmp_path / "r", hosts=["images.example.org", "10.0.0.5", "fd00::5"], now=NOW)
    certificate = x509.load_pem_x509_certificate(Layout(tmp_path / "r").certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"images.example.org", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {"10.0.0.5", "fd00::5", "127.0.0.1", "::1"} <= addresses
    assert certificate.not_valid_after_utc > NOW + datetime.timedelta(days=3600)
    assert certificate.not_valid_before_utc < NOW


def test_a_repository_is_never_overwritten(layout: Layout) -> None:
    before = snapshot(layout.root)
    with pytest.raises(UsageError, match="already"):
        initialise(layout.root, hosts=[], now=NOW)
    assert snapshot(layout.root) == before


def test_nothing_is_made_inside_a_repository(layout: Layout) -> None:
    before = sorted(layout.root.rglob("*"))
    for inner in (layout.root / "mine", layout.root / "packs" / "a" / "b", layout.root / "trash"):
        with pytest.raises(UsageError, match="is inside the repository") as raised:
            initialise(inner, hosts=[], now=NOW)
        assert raised.value.hint is not None
        assert "outside" in raised.value.hint
    assert sorted(layout.root.rglob("*")) == before


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "used", tmp_path / "file"):
        with pytest.raises(UsageError):
            initialise(path, hosts=[], now=NOW)
    assert sorted(os.listdir(tmp_path)) == ["file", "used"]
    assert os.listdir(tmp_path / "used") == ["thesis.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    initialise(tmp_path / "empty", hosts=[], now=NOW)
    assert (tmp_path / "empty" / "format").exists()


@pytest.mark.parametrize("host", ["a b", "", "ä.example", "a/b", "x" * 300, "x" * 64 + ".example"])
def test_a_bad_host_name_leaves_nothing_behind(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError):
        initialise(tmp_path / "r", hosts=[host], now=NOW)
    assert os.listdir(tmp_path) == []


def test_a_machine_whose_own_name_no_certificate_can_hold_is_known_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "x" * 64)  # the longest that Linux takes
    assert "x" * 64 not in initialise(tmp_path / "r", hosts=["127.0.0.1"], now=NOW).names


def test_a_path_too_long_for_any_folder_is_no_fault_of_this_program(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="File name too long"):
        initialise(tmp_path / ("r" * 256), hosts=["127.0.0.1"], now=NOW)


def test_a_failure_midway_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repod.initialise.write_atomically", full)
    with pytest.raises(RepositoryError, match="No space left"):
        initialise(tmp_path / "r", hosts=[], now=NOW)
    assert os.listdir(tmp_path) == []


def test_an_ipv6_address_is_bracketed_in_the_url(tmp_path: Path) -> None:
    assert initialise(tmp_path / "r", hosts=["fd00::5"], now=NOW, port=9).url == "https://[fd00::5]:9"


@pytest.mark.parametrize(
    ("hosts", "host"), [(["::1"], "::"), (["::1", "10.0.0.5"], "::"), (["10.0.0.5", "::1"], ""), (["h.example"], "")]
)
def test_what_it_tells_clients_is_listened_on(tmp_path: Path, hosts: list[str], host: str) -> None:
    initialise(tmp_path / "r", hosts=hosts, now=NOW, port=9)
    made = load_settings(Layout(tmp_path / "r")).value
    assert (made.host, made.port) == (host, 9)


def test_the_default_host_is_an_address() -> None:
    assert default_host().count(".") == 3


@pytest.mark.root
def test_a_mount_point_can_become_a_repository(tmp_path: Path) -> None:
    import subprocess

    root = tmp_path / "mounted"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(root)], check=True)
    try:
        initialise(root, hosts=[], now=NOW)
        with Repository.open(root):
            pass
        assert not [name for name in os.listdir(root) if name.startswith(".")]
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.mark.root
def test_an_empty_folder_is_taken_where_nothing_else_may_be_written(tmp_path: Path) -> None:
    """As a unit of systemd has it with ReadWritePaths."""
    import subprocess

    protected = tmp_path / "protected"
    (protected / "writable").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(protected), str(protected)], check=True)
    subprocess.run(["mount", "--bind", str(protected / "writable"), str(protected / "writable")], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(protected)], check=True)
        initialise(protected / "writable", hosts=[], now=NOW)
        with pytest.raises(RepositoryError, match="Read-only") as raised:
            initialise(protected / "new", hosts=[], now=NOW)
        assert raised.value.hint is not None
        assert "install -d" in raised.value.hint
    finally:
        subprocess.run(["umount", "--recursive", str(protected)], check=True)
    with Repository.open(protected / "writable"):
        pass
    assert not [name for name in os.listdir(protected / "writable") if name.startswith(".")]


def test_the_template_holds_every_key_of_every_transport_at_its_default(tmp_path: Path) -> None:
    initialise(tmp_path / "r", hosts=["h"], now=datetime.datetime.now(datetime.UTC))
    text = (tmp_path / "r" / "repod.toml").read_text()
    tables = tomllib.loads(re.sub(r"(?m)^#([a-z\[])", r"\1", text))["transports"]
    for name, spec in specs().items():
        kind = settings_of(spec)
        assert kind is not None
        assert kind.load(tables[name]) == kind.load({}), name
