"""The certificate: what it names, and keys that cannot be used."""

from __future__ import annotations

import datetime

import pytest

from core.errors import RepositoryError, UsageError
from repod.certificate import VALIDITY, make_certificate, server_context, validity_trouble

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def test_key_and_certificate_serve(tmp_path) -> None:
    made = make_certificate(["images.example.org", "10.0.0.1", "::1"], now=NOW)
    (tmp_path / "key").write_bytes(made.key)
    (tmp_path / "crt").write_bytes(made.certificate)
    server_context(tmp_path / "crt", tmp_path / "key")


def test_files_that_do_not_belong_together_are_told(tmp_path) -> None:
    one, two = (make_certificate(["a"], now=NOW) for _ in range(2))
    (tmp_path / "key").write_bytes(one.key)
    (tmp_path / "crt").write_bytes(two.certificate)
    with pytest.raises(RepositoryError):
        server_context(tmp_path / "crt", tmp_path / "key")
    with pytest.raises(RepositoryError):
        server_context(tmp_path / "none", tmp_path / "key")


def test_a_long_name_is_cut_in_the_common_name_only() -> None:
    make_certificate(["x" * 60 + ".example.org"], now=NOW)


@pytest.mark.parametrize(
    ("days", "told"),
    [(-366, None), (-9000, None), (0, None), (3580, None), (3600, "expires on"), (3651, "expired on")],
)
def test_dates_that_clients_will_mind_are_told(tmp_path, days: int, told: str | None) -> None:
    assert VALIDITY.days == 3650
    (tmp_path / "crt").write_bytes(make_certificate(["a"], now=NOW).certificate)
    found = validity_trouble(tmp_path / "crt", now=NOW + datetime.timedelta(days=days))
    assert found is None if told is None else told in (found or "")


def test_a_certificate_from_elsewhere_that_begins_later_is_told(tmp_path) -> None:
    (tmp_path / "crt").write_bytes(make_certificate(["a"], now=NOW).certificate)
    early = datetime.datetime(1969, 12, 31, tzinfo=datetime.UTC)
    assert "valid from" in (validity_trouble(tmp_path / "crt", now=early) or "")


def test_dates_of_what_is_no_certificate_are_an_error(tmp_path) -> None:
    (tmp_path / "crt").write_bytes(b"-----BEGIN")
    for name in ("crt", "none"):
        with pytest.raises(RepositoryError):
            validity_trouble(tmp_path / name, now=NOW)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é.org", "-" * 3, "x" * 254])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        make_certificate([name], now=NOW)
