"""A repository made by `initialise`, an image in it, and the real daemon serving it over TLS on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import re
import ssl
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.ids import Digest
from images.codec import encode
from images.digest import digest_of
from images.extents import Extents
from images.manifest import FileSystem, encode_manifest
from images.repository import Repository
from repod.api.application import all_routes
from repod.api.openapi import describe
from repod.initialise import initialise
from repod.layout import Layout
from repod.serving import Serving, serve
from repod.settings import load_settings
from repod.tokens import Role, TokenFile, issue

CHUNK_BYTES = 65536
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A fresh repository."""
    root = tmp_path / "repository"
    initialise(root, hosts=["127.0.0.1"], now=NOW)
    return Layout(root)


@pytest.fixture
def relayed(layout: Layout) -> Layout:
    """The repository as a relay has it: its clients trust the signatures of another one."""
    other = base64.b64encode(bytes(range(32))).decode()
    text = layout.client.read_text()
    layout.client.write_text(re.sub(r'(?m)^signing_key = ".*"$', f'signing_key = "{other}"', text))
    return layout


def store_chunks(repository: Repository, content: bytes) -> list[Digest]:
    """Put `content` into the store; the digests of its chunks."""
    digests = []
    with repository.writer(purpose="test") as writer:
        for at in range(0, len(content), CHUNK_BYTES):
            raw = content[at : at + CHUNK_BYTES]
            encoding, stored = encode(raw, 1)
            digests.append(digest_of(raw))
            writer.append(digests[-1], stored, encoding=encoding, raw_length=len(raw))
    return digests


def manifest_of(name: str, content: bytes) -> bytes:
    """The unsigned manifest of `content`, all DATA."""
    pieces = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    return encode_manifest(
        name=name,
        version=1,
        created="2026-01-01T00:00:00Z",
        tool="test",
        source="raw",
        size=len(content),
        chunk_size=CHUNK_BYTES,
        block_size=512,
        sector_size=512,
        fs=FileSystem(type="", label="", uuid=""),
        extents=Extents.all_data(len(content)),
        digests=[digest_of(piece) for piece in pieces],
    )


def put_image(layout: Layout, name: str, content: bytes) -> None:
    """Import `content` as the next version of `name`, as another process would."""
    with Repository.open(layout.root) as repository, repository.writer(purpose="test") as writer:
        store_chunks(repository, content)
        repository.publish(manifest_of(name, content), sign=layout.load_signing_key(), writer=writer)


@pytest.fixture
def publish(layout: Layout) -> Callable[[str, bytes], None]:
    """Import an image into the repository."""
    return lambda name, content: put_image(layout, name, content)


@pytest.fixture
def unsigned() -> Callable[[str, bytes], bytes]:
    """The manifest a capturing client would send."""
    return manifest_of


@pytest.fixture
def upload(layout: Layout) -> Callable[[bytes], None]:
    """Bring chunks into the store without a manifest, as a capture's lane does."""

    def bring(content: bytes) -> None:
        with Repository.open(layout.root) as repository:
            store_chunks(repository, content)

    return bring


def assert_described(method: str, path: str, response: aiohttp.ClientResponse) -> None:
    """What a daemon answers is what its OpenAPI description says: status and content type."""
    for template, operations in describe(all_routes())["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path.partition("?")[0]) and (operation := operations.get(method.lower())):
            answer = operation["responses"].get(str(response.status))
            if answer is None:
                assert response.status == 500, f"{method} {template} answers {response.status}, which is not described"
            elif method != "HEAD" and "content" in answer:
                assert response.content_type in answer["content"]


@dataclass(slots=True, kw_only=True)
class Api:
    """A client of one running daemon."""

    url: str
    http: aiohttp.ClientSession
    tokens: dict[str, str]
    stop: asyncio.Event

    async def ask(
        self, method: str, path: str, *, role: str | None = "client", **options: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        """One request; its status, its JSON (or bytes) and the response."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role is not None else {}
        headers.update(options.pop("headers", {}))
        async with self.http.request(method, self.url + path, headers=headers, **options) as response:
            data = await response.read()
            assert_described(method, path, response)
            is_json = response.content_type == "application/json"
            return response.status, (await response.json() if is_json and data else data), response


@contextlib.asynccontextmanager
async def running(layout: Layout, **flags: object) -> AsyncIterator[Api]:
    """The daemon, from its readiness to its graceful stop."""
    stop = asyncio.Event()
    ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    given = {"host": "127.0.0.1", "port": 0, "limits.grace_s": 0.2, **flags}
    settings = load_settings(layout, flags=given).value
    tokens = {
        role: tomllib.loads(path.read_text())["token"]
        for role, path in (("client", layout.client), ("operator", layout.operator))
    }
    secret, expired = issue(Role.CLIENT, now=0.0, lifetime_s=1.0)
    TokenFile(layout.tokens).add(expired)
    tokens |= {"expired": secret, "wrong": "ogt_nobody"}
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(layout, settings, stop, on_ready=ready.set_result))
        serving = await ready
        tls = ssl.create_default_context(cadata=tomllib.loads(layout.client.read_text())["certificate"])
        try:
            connector = aiohttp.TCPConnector(ssl=tls)
            async with aiohttp.ClientSession(connector=connector) as http:
                yield Api(url=serving.url, http=http, tokens=tokens, stop=stop)
        finally:
            stop.set()


@pytest.fixture
def daemon(layout: Layout) -> Callable[..., AbstractAsyncContextManager[Api]]:
    """Start the daemon of `layout` with settings given as flags."""
    return lambda **flags: running(layout, **flags)
