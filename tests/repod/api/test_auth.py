"""Who may ask: the certificate, tokens and roles, against the real server over real TLS."""

from __future__ import annotations

import datetime
import ssl
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from repod.api.auth import from_this_machine
from repod.certificate import make_certificate
from repod.layout import Layout
from repod.tokens import TokenFile

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("role", [None, "wrong", "expired"])
async def test_no_wrong_and_expired_tokens_are_answered_401(daemon, role) -> None:
    async with daemon() as api:
        status, body, response = await api.ask("GET", "/v1/images", role=role)
        assert status == 401
        assert body["error"] == "AuthenticationError"
        assert body["code"] == 23
        assert body["hint"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b"ogcast_logins_refused_total 1.0" in text


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/images/a"), ("GET", "/v1/sessions"), ("GET", "/v1/events")]
)
async def test_a_client_is_refused_what_operators_may_do(daemon, publish, method, path) -> None:
    publish("a", b"x" * 1000)
    async with daemon() as api:
        status, body, _ = await api.ask(method, path)
        assert (status, body["error"]) == (403, "AuthenticationError")
        assert (await api.ask("GET", "/v1/images/a"))[0] == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer " + "x" * 5000, "Bearer \udcff"])
async def test_malformed_credentials_are_answered_401(daemon, header) -> None:
    async with daemon() as api:
        status, _, _ = await api.ask("GET", "/v1/images", role=None, headers={"Authorization": header})
        assert status == 401


async def test_revoking_works_at_once_while_serving(daemon, layout: Layout) -> None:
    async with daemon() as api:
        assert (await api.ask("GET", "/v1/images"))[0] == 200
        tokens = TokenFile(layout.tokens)
        tokens.revoke(next(kept.id for kept in tokens.all() if kept.label == "client.toml"))
        assert (await api.ask("GET", "/v1/images"))[0] == 401


async def test_another_certificate_is_not_trusted(daemon) -> None:
    other = make_certificate(["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    tls = ssl.create_default_context(cadata=other.certificate.decode())
    async with daemon() as api, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(api.url + "/healthz")


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # asking for old TLS is the point
async def test_old_tls_is_refused(daemon) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    async with daemon() as api, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
        with pytest.raises(aiohttp.ClientConnectorError):  # whose OpenSSL says no first differs
            await http.get(api.url + "/healthz")


async def test_plain_http_gets_nothing(daemon) -> None:
    async with daemon() as api, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(api.url.replace("https", "http") + "/healthz")


class FromTo:
    """A request, as far as its two addresses."""

    def __init__(self, remote: str | None, own: str) -> None:
        self.remote = remote
        self.transport = self
        self._own = own

    def get_extra_info(self, name: str) -> tuple[str, int]:
        assert name == "sockname"
        return self._own, 8717


@pytest.mark.parametrize(
    ("remote", "own", "same"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("fe80::1", "fe80::1", True),
        ("10.0.0.6", "10.0.0.5", False),
        (None, "10.0.0.5", False),
    ],
)
async def test_this_machine_is_told_from_others_by_whatever_address_it_asks(remote, own, same) -> None:
    assert from_this_machine(cast(web.Request, FromTo(remote, own))) is same
