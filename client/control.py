"""Client of the control API `/v1` (docs/wire-control.md).

The certificate of client.toml is the only trust anchor (core/pinning.py). Requests that may be repeated are repeated
a bounded number of times.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib
import random
import ssl
import time
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import msgspec

import core.errors
from client.config import ClientSettings
from client.exchange import Exchange
from client.proto.retry import RetryPolicy
from core.errors import (
    AuthenticationError,
    ConnectionFailedError,
    LockedError,
    ManifestError,
    NotFoundError,
    OgcastError,
    ProtocolError,
)
from core.ids import ImageRef
from core.netif import check_zone
from core.pinning import pin_error, pinned_context
from transports.control import (
    API_PREFIX,
    CaptureCommitted,
    CaptureOpened,
    CaptureRequest,
    ErrorBody,
    ImageInfo,
    SessionAdvice,
    SessionOpened,
    SessionReport,
    SessionRequest,
)

if TYPE_CHECKING:
    import aiohttp

__all__ = ["ANSWER_MAX_BYTES", "MANIFEST_MAX_BYTES", "ControlClient"]

ANSWER_MAX_BYTES = 16 << 20
MANIFEST_MAX_BYTES = 256 << 20
"""2^22 chunk records of 40 bytes and 2^20 extents fit."""

CONNECT_TIMEOUT_S = 5.0
"""For one attempt to connect; several are made, one after the other."""
UNANSWERED_S = 15.0
"""For all of them: a repository that takes connections and says nothing on them, not even who it is, is given up then.
Where the session was opened early (client/early.py), that is counted in."""
SILENCE_TIMEOUT_S = 30.0
RETRY_FOR_S = 4.0
"""How long a request is repeated before its command fails; a session in progress has its own, longer patience."""
COMMIT_FOR_S = 300.0
"""How long the answer to a commit is asked for: the repository looks every chunk up before it publishes."""
RETRY_FIRST_S = 0.25
RETRY_LONGEST_S = 2.0

_RETRIED = frozenset({429, 502, 503, 504})
_PIECE_BYTES = 1 << 18

T = TypeVar("T")


class ControlClient:
    """One repository. An async context manager; use on one event loop."""

    def __init__(
        self, settings: ClientSettings, *, rng: random.Random | None = None, asked_since: float | None = None
    ) -> None:
        """`asked_since`: when, by the monotonic clock, this repository was asked something first that may yet have no
        answer."""
        self._settings = settings
        self._asked_since = asked_since
        self._random = rng or random.Random()
        self._pinned: ssl.SSLContext | None = None
        """While it is entered."""
        self._opening = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None
        self._line: Exchange | None = None
        self._asking = asyncio.Lock()
        """Held while the line is asked."""

    def keep(self, line: Exchange | None) -> None:
        """Ask by `line`, which belongs to this client from now on, as long as it answers plainly: a restore of a few
        seconds asks twice, and need not import an HTTP client nor shake hands again for that."""
        self._hang_up()
        self._line = line

    async def __aenter__(self) -> ControlClient:
        check_zone(self._settings.host)
        self._pinned = pinned_context(self._settings.certificate)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pinned = None
        self._hang_up()
        async with self._opening:
            if self._http is not None:
                await self._http.close()
                self._http = None

    async def image(self, ref: ImageRef, *, patient: bool = True) -> ImageInfo:
        """One image version. NotFoundError with the server's hint. Not `patient`: asked once.

        ManifestError if it is not what was asked for: what follows goes by the version that is named here.
        """
        info = _decoded(await self._request("GET", f"/images/{ref}", patient=patient), ImageInfo)
        if info.name != ref.name or ref.version not in (None, info.version):
            raise ManifestError(
                f"asked for {ref}, got {info.name[:64]!a}@{info.version}",
                hint="the repository is faulty; do not use it",
            )
        return info

    async def manifest(self, ref: ImageRef) -> bytes:
        """The signed manifest file, not yet checked."""
        return await self._request("GET", f"/images/{ref}/manifest", limit=MANIFEST_MAX_BYTES)

    async def open_session(self, request: SessionRequest) -> SessionOpened:
        """Open a session; one whose answer was lost expires by itself, so repeating is harmless."""
        return _decoded(await self._request("POST", "/sessions", body=request), SessionOpened)

    async def report(self, session: str, report: SessionReport) -> SessionAdvice:
        """Say where this client stands. NotFoundError when the session is gone. Not repeated: the next one comes."""
        answer = await self._request("POST", f"/sessions/{session}/reports", body=report, patient=False)
        return _decoded(answer, SessionAdvice) if answer else SessionAdvice()  # an older repository says nothing

    async def close_session(self, session: str) -> None:
        """End a session."""
        await self._request("DELETE", f"/sessions/{session}", patient=False)

    async def open_capture(self, request: CaptureRequest) -> CaptureOpened:
        """Take the lock on a name, or get one's own lock back. LockedError while somebody else holds it."""
        return _decoded(await self._request("POST", "/captures", body=request), CaptureOpened)

    async def commit_capture(self, capture: str, manifest: bytes) -> CaptureCommitted:
        """Publish what was uploaded. Asked again when the answer was lost: one capture makes one version.

        NotFoundError when the repository forgot the capture: it may have published it before.
        """
        retry = self._retry(COMMIT_FOR_S)
        while True:
            try:
                answer = await self._request_once("PUT", f"/captures/{capture}/manifest", manifest, ANSWER_MAX_BYTES)
                return _decoded(answer, CaptureCommitted)
            except (ConnectionFailedError, LockedError):  # locked: an earlier request of ours is being worked on
                delay = retry.poll_delay(time.monotonic())
                if delay is None:
                    raise
                await asyncio.sleep(delay)

    async def abandon_capture(self, capture: str) -> None:
        """Give the lock back."""
        await self._request("DELETE", f"/captures/{capture}", patient=False)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: msgspec.Struct | bytes | None = None,
        limit: int = ANSWER_MAX_BYTES,
        patient: bool = True,
    ) -> bytes:
        retry = self._retry(RETRY_FOR_S if patient else 0.0)
        while True:
            try:
                return await self._request_once(method, path, body, limit)
            except ConnectionFailedError:
                delay = retry.poll_delay(time.monotonic())
                if delay is None:
                    raise
                await asyncio.sleep(delay)

    async def _open(self) -> aiohttp.ClientSession:
        """The HTTP client is imported, beside what goes on, for the first request that no kept line answers."""
        async with self._opening:
            if self._pinned is None:
                raise RuntimeError("the control client is not open")
            if self._http is None:
                module = await asyncio.to_thread(importlib.import_module, "client.http")
                aiohttp = module.aiohttp
                self._http = aiohttp.ClientSession(
                    connector=module.Connector(ssl=self._pinned, limit=4),
                    headers={"Authorization": f"Bearer {self._settings.token}"},
                    trust_env=False,
                )
            return self._http

    def _timeout(self) -> aiohttp.ClientTimeout:
        from client.http import aiohttp

        waited_s = 0.0 if self._asked_since is None else time.monotonic() - self._asked_since
        return aiohttp.ClientTimeout(
            total=None,
            connect=max(CONNECT_TIMEOUT_S, UNANSWERED_S - waited_s),
            sock_connect=CONNECT_TIMEOUT_S,
            sock_read=SILENCE_TIMEOUT_S,
        )

    def _retry(self, limit_s: float) -> RetryPolicy:
        return RetryPolicy(
            now=time.monotonic(),
            limit_s=limit_s,
            first_s=RETRY_FIRST_S,
            longest_s=RETRY_LONGEST_S,
            rng=self._random,
        )

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    async def _ask_line(self, method: str, path: str, data: bytes | None) -> bytes | None:
        """The answer of the line that was kept. None if there is none, or it did not answer plainly: it is gone then,
        and the HTTP client has the words for what is wrong. So what is asked may be asked twice."""
        async with self._asking:
            if (line := self._line) is None:
                return None
            try:
                answer = await asyncio.to_thread(_ask_once, line, method, f"{API_PREFIX}{path}", data)
            except asyncio.CancelledError:
                self._line = None
                line.cut()  # the thread that waits hangs up
                raise
            if answer is None:
                self._line = None
            return answer

    async def _request_once(self, method: str, path: str, body: msgspec.Struct | bytes | None, limit: int) -> bytes:
        data = msgspec.json.encode(body) if isinstance(body, msgspec.Struct) else body
        if not isinstance(body, bytes) and (plain := await self._ask_line(method, path, data)) is not None:
            return plain
        http = await self._open()
        from client.http import aiohttp, hint_of, reason_of

        url = f"{self._settings.base_url}{API_PREFIX}{path}"
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = {"Content-Type": kind} if data is not None else {}
        try:
            async with http.request(
                method, url, data=data, headers=headers, allow_redirects=False, timeout=self._timeout()
            ) as answer:
                self._asked_since = None
                text = await _read_bounded(answer, limit)
                if answer.status >= 300:
                    raise _refusal(answer.status, text, self._settings.base_url)
                return text
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if (
                refused := pin_error(error, self._settings.base_url, now=datetime.datetime.now(datetime.UTC))
            ) is not None:
                raise refused from error
            raise ConnectionFailedError(
                f"cannot reach the repository {self._settings.base_url}: {reason_of(error)}",
                hint=hint_of(error),
            ) from error


def _ask_once(line: Exchange, method: str, path: str, data: bytes | None) -> bytes | None:
    try:
        return line.ask(method, path, data)
    except (OSError, ValueError):  # ValueError: cut while it was asked
        line.close()
        return None


async def _read_bounded(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        total += len(piece)
        if total > limit:
            raise ProtocolError(f"the repository's answer is larger than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(
            f"the repository's answer makes no sense: {error}", hint="do the versions of repod and ogcast fit?"
        ) from error


def _refusal(status: int, text: bytes, url: str) -> OgcastError:
    """The error an answer of status 300 and above stands for."""
    try:
        body = msgspec.json.decode(text, type=ErrorBody)
    except msgspec.MsgspecError:
        body = ErrorBody(error="", message=f"{url} answered with status {status}")
    hint = body.hint
    if status in (401, 403):
        return AuthenticationError(
            body.message, hint=hint or "the token in client.toml is wrong or expired; copy the file anew"
        )
    if status in _RETRIED:
        return ConnectionFailedError(body.message, hint=hint or "the repository is busy or stopping; try again later")
    known = getattr(core.errors, body.error, None) if body.error in core.errors.__all__ else None
    if known is not None:
        error: OgcastError = known(body.message, hint=hint)
        return error
    return NotFoundError(body.message, hint=hint) if status == 404 else ProtocolError(body.message, hint=hint)
