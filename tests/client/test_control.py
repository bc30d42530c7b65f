from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from client import control as module
from client.config import ClientSettings, load_settings
from client.control import UNANSWERED_S, ControlClient
from client.exchange import Exchange
from core.errors import (
    AuthenticationError,
    ConnectionFailedError,
    LockedError,
    NotFoundError,
    OgcastError,
    ProtocolError,
    RepositoryFullError,
    UsageError,
)
from core.ids import ImageRef
from repod.initialise import initialise
from repod.layout import Layout
from tests.client.conftest import PATIENCE_S, free_port
from transports.control import CaptureCommitted, CaptureRequest, ImageInfo, SessionReport

pytestmark = pytest.mark.asyncio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REF = ImageRef("room1")
COMMITTED = CaptureCommitted(
    image=ImageInfo(
        name="room1",
        version=1,
        root="00" * 32,
        size=0,
        data_bytes=0,
        chunk_size=65536,
        chunks=0,
        stored_bytes=0,
        fs_type="",
        created="2026-01-01T00:00:00Z",
        tool="test",
    ),
    bytes_new=0,
)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    root = tmp_path_factory.mktemp("control") / "repository"
    initialise(root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    return Layout(root)


class Server:
    """Answers every request by what `answer` says; counts."""

    def __init__(self) -> None:
        self.answer: Handler = self._hello
        self.requests: list[tuple[str, str]] = []
        self.settings = cast(ClientSettings, None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        assert request.headers["Authorization"] == f"Bearer {self.settings.token}"
        return await self.answer(request)

    @staticmethod
    async def _hello(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"hello")


@pytest_asyncio.fixture
async def server(layout: Layout) -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(layout.certificate, layout.tls_key)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    made.settings = load_settings(layout.client, repo=f"https://localhost:{port}", interface=None)
    yield made
    await runner.cleanup()


def _error(status: int, name: str, hint: str | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": name, "message": "because", "hint": hint, "code": 1}, status=status)

    return answer


async def test_the_pinned_certificate_is_enough_whatever_the_host_is_called(server: Server) -> None:
    async with ControlClient(server.settings) as control:
        assert await control.manifest(REF) == b"hello"
    assert server.requests == [("GET", "/v1/images/room1/manifest")]


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (404, "NotFoundError", NotFoundError),
        (404, "", NotFoundError),
        (423, "LockedError", LockedError),
        (401, "AuthenticationError", AuthenticationError),
        (403, "OgcastError", AuthenticationError),
        (507, "RepositoryFullError", RepositoryFullError),
        (418, "os", ProtocolError),
        (302, "", ProtocolError),
    ],
)
async def test_a_refusal_becomes_its_error_with_the_hint_and_is_not_repeated(
    server: Server, status: int, name: str, kind: type[OgcastError]
) -> None:
    server.answer = _error(status, name, "do this")
    async with ControlClient(server.settings) as control:
        with pytest.raises(kind, match="because") as caught:
            await control.manifest(REF)
    assert caught.value.hint == "do this"
    assert len(server.requests) == 1


async def test_a_busy_repository_is_asked_again(server: Server) -> None:
    async def busy_first(request: web.Request) -> web.StreamResponse:
        return await (_error(503, "")(request) if len(server.requests) < 3 else Server._hello(request))

    server.answer = busy_first
    async with ControlClient(server.settings) as control:
        assert await control.manifest(REF) == b"hello"
    assert len(server.requests) == 3


async def test_what_must_not_be_repeated_is_not(server: Server) -> None:
    server.answer = _error(503, "")
    async with ControlClient(server.settings) as control:
        with pytest.raises(ConnectionFailedError):
            await control.report("s", SessionReport(state="done", have=1))
    assert len(server.requests) == 1


async def test_a_commit_whose_answer_was_lost_is_asked_again(server: Server) -> None:
    async def commit(request: web.Request) -> web.StreamResponse:
        assert await request.read() == b"manifest"
        if len(server.requests) == 1:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if len(server.requests) == 2:
            return await _error(423, "LockedError")(request)
        return web.Response(body=msgspec.json.encode(COMMITTED), status=201)

    server.answer = commit
    async with ControlClient(server.settings) as control:
        assert await control.commit_capture("c", b"manifest") == COMMITTED
    assert server.requests == [("PUT", "/v1/captures/c/manifest")] * 3


async def test_a_commit_to_a_repository_that_stays_away_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_FOR_S", 0.1)
    server.answer = _error(503, "")
    async with ControlClient(server.settings) as control:
        with pytest.raises(ConnectionFailedError):
            await control.commit_capture("c", b"manifest")


@pytest.mark.parametrize("body", [b"", b"rubbish", b'{"name": 1}', b"[]"])
async def test_an_answer_that_makes_no_sense_is_a_protocol_error(server: Server, body: bytes) -> None:
    async def rubbish(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    server.answer = rubbish
    async with ControlClient(server.settings) as control:
        with pytest.raises(ProtocolError):
            await control.image(REF)
        with pytest.raises(ProtocolError):
            await control.open_capture(CaptureRequest(name="x"))


async def test_an_answer_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_MAX_BYTES", 1000)

    async def endless(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 2_000_000)

    server.answer = endless
    async with ControlClient(server.settings) as control:
        with pytest.raises(ProtocolError, match="larger than"):
            await control._request("GET", "/images", limit=1000)


async def test_another_certificate_is_refused(server: Server, tmp_path: Path) -> None:
    initialise(tmp_path / "other", hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    other = load_settings(Layout(tmp_path / "other").client, repo=server.settings.url, interface=None)
    async with ControlClient(other) as control:
        with pytest.raises(AuthenticationError, match="certificate") as caught:
            await control.manifest(REF)
    assert caught.value.hint
    assert server.requests == []


async def test_an_address_of_a_link_that_is_not_there_is_wrong_usage(server: Server) -> None:
    control = ControlClient(replace(server.settings, url="https://[fe80::1%nosuch0]:8717"))
    with pytest.raises(UsageError, match="no network interface 'nosuch0'"):
        async with control:
            await control.image(REF)


async def test_a_certificate_that_cannot_be_read_is_told(server: Server) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(AuthenticationError, match="cannot be read"):
        await ControlClient(replace(server.settings, certificate=pem)).__aenter__()


async def test_nobody_there_is_a_connection_error_with_a_hint(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_FOR_S", 0.1)
    async with ControlClient(replace(server.settings, url=f"https://127.0.0.1:{free_port()}")) as control:
        with pytest.raises(ConnectionFailedError, match="cannot reach") as caught:
            await control.manifest(REF)
    assert caught.value.exit_code == 23
    assert caught.value.hint


@pytest.mark.parametrize(("waited_s", "attempts"), [(None, {3}), (UNANSWERED_S, {1, 2})])
async def test_who_takes_connections_and_says_nothing_is_given_up_the_sooner_the_longer_it_was_asked_before(
    server: Server, monkeypatch: pytest.MonkeyPatch, waited_s: float | None, attempts: set[int]
) -> None:
    monkeypatch.setattr(module, "RETRY_FOR_S", 0.1)
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.setblocking(False)
        settings = replace(server.settings, url=f"https://127.0.0.1:{mute.getsockname()[1]}")
        since = None if waited_s is None else time.monotonic() - waited_s
        async with ControlClient(settings, asked_since=since) as control:
            with pytest.raises(ConnectionFailedError, match="cannot reach"):
                await control.manifest(REF)
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                mute.accept()[0].close()
                taken += 1
    assert taken in attempts


class Line:
    """Stands for the connection a session was opened by; answers by what `answer` does."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, bytes | None]] = []
        self.closed = threading.Event()
        self.was_cut = threading.Event()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self.asked.append((method, path, body))
        return self.answer()

    def cut(self) -> None:
        self.was_cut.set()

    def close(self) -> None:
        self.closed.set()


def _fail(error: Exception) -> Callable[[], bytes]:
    def answer() -> bytes:
        raise error

    return answer


async def test_a_line_that_was_kept_is_asked_instead(server: Server) -> None:
    line = Line(lambda: b"")
    async with ControlClient(server.settings) as control:
        control.keep(cast(Exchange, line))
        await control.report("5", SessionReport(state="done", have=1))
        await control.close_session("5")
    assert [asked[:2] for asked in line.asked] == [("POST", "/v1/sessions/5/reports"), ("DELETE", "/v1/sessions/5")]
    assert msgspec.json.decode(line.asked[0][2] or b"", type=SessionReport).state == "done"
    assert server.requests == []
    assert line.closed.is_set()


@pytest.mark.parametrize("error", [ConnectionError("404"), TimeoutError(), ValueError("cut")])
async def test_a_line_that_does_not_answer_plainly_is_left_for_good(server: Server, error: Exception) -> None:
    line = Line(_fail(error))
    server.answer = _error(404, "NotFoundError")
    async with ControlClient(server.settings) as control:
        control.keep(cast(Exchange, line))
        for _ in range(2):
            with pytest.raises(NotFoundError, match="because"):
                await control.report("5", SessionReport(state="done", have=1))
    assert len(line.asked) == 1
    assert line.closed.is_set()
    assert len(server.requests) == 2


async def test_who_stops_waiting_for_a_line_cuts_it(server: Server) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def wait() -> bytes:
        asked.set()
        assert let_go.wait(PATIENCE_S)
        raise ConnectionError

    line = Line(wait)
    async with ControlClient(server.settings) as control:
        control.keep(cast(Exchange, line))
        report = asyncio.ensure_future(control.report("5", SessionReport(state="done", have=1)))
        assert await asyncio.to_thread(asked.wait, PATIENCE_S)
        report.cancel()
        with pytest.raises(asyncio.CancelledError):
            await report
        assert line.was_cut.is_set()
        assert not line.closed.is_set()  # by the thread that still reads
        let_go.set()
        assert await asyncio.to_thread(line.closed.wait, PATIENCE_S)
        assert await control.manifest(REF) == b"hello"
