"""Certificates that a client refuses, in real handshakes."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest

from core.errors import AuthenticationError
from core.pinning import pin_error, pinned_context
from repod.certificate import Certificate, make_certificate, server_context

NOW = datetime.datetime.now(datetime.UTC)


def handshake(folder: Path, served: Certificate, pinned: Certificate) -> Exception | None:
    """What the client says when it is shown `served` and knows `pinned`; both ends in memory."""
    (folder / "crt").write_bytes(served.certificate)
    (folder / "key").write_bytes(served.key)
    context = pinned_context(pinned.certificate.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server)
    server = server_context(folder / "crt", folder / "key").wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    return None


@pytest.mark.parametrize(
    ("days", "words", "hint"),
    [(-3700, "has expired by the clock of this machine", "new certificate"), (30, "is not valid yet", "set the clock")],
)
def test_dates_are_told_as_dates(tmp_path: Path, days: int, words: str, hint: str) -> None:
    then = NOW + datetime.timedelta(days=days)
    made = make_certificate(["h"], now=then, valid_from=then)
    error = handshake(tmp_path, made, made)
    assert error is not None
    told = pin_error(error, "https://h:1", now=NOW)
    assert isinstance(told, AuthenticationError)
    assert words in told.message
    assert hint in (told.hint or "")
    assert f"{NOW:%Y-%m-%d}" in told.message


def test_another_certificate_is_told_as_one(tmp_path: Path) -> None:
    error = handshake(tmp_path, make_certificate(["h"], now=NOW), make_certificate(["h"], now=NOW))
    assert error is not None
    wrapped = ConnectionError("connection failed")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        told = pin_error(one, "https://h:1", now=NOW)
        assert told is not None
        assert "not the one of the configuration" in told.message


def test_the_right_one_is_taken_and_other_errors_are_not_ours(tmp_path: Path) -> None:
    made = make_certificate(["h"], now=NOW)
    assert handshake(tmp_path, made, made) is None
    for error in (ConnectionResetError(), ssl.SSLError("protocol"), TimeoutError()):
        assert pin_error(error, "https://h:1", now=NOW) is None


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    with pytest.raises(AuthenticationError) as caught:
        pinned_context("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert "client.toml" in str(caught.value.hint)
