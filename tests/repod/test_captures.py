"""Captures through a real lane: chunks arrive, the lane breaks, the same client gets it back."""

from __future__ import annotations

import asyncio
import base64
import random
import threading
from typing import Any

import pytest

from core.ids import SessionId
from images.codec import encode
from images.digest import digest_of
from images.repository import Repository
from repod.daemon import build_daemon
from repod.guarded_writer import GuardedWriter
from repod.lanes import Lanes
from repod.proto.capture_table import CaptureOwner
from repod.settings import load_settings
from transports.base import ClientContext, Offer
from transports.control import CaptureRequest
from transports.registry import by_name, load_client

pytestmark = pytest.mark.asyncio

CHUNK = 65536
CONTENT = random.Random(3).randbytes(6 * CHUNK)
PIECES = [CONTENT[at : at + CHUNK] for at in range(0, len(CONTENT), CHUNK)]
DIGESTS = [digest_of(piece) for piece in PIECES]


def lane_of(opened: dict):
    context = ClientContext(
        repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None
    )
    return load_client(by_name("unicast"))(context).upload(
        Offer(transport="unicast", parameters=opened["offers"][0]["parameters"]),
        session_id=SessionId(opened["capture"]),
        key=base64.b64decode(opened["key"]),
    )


async def test_an_interrupted_capture_goes_on_where_it_was(daemon, unsigned) -> None:
    ask = {"name": "win", "host": "pc1"}
    async with daemon() as api, asyncio.timeout(30):
        _, first, _ = await api.ask("POST", "/v1/captures", json=ask)
        async with lane_of(first) as lane:
            for piece, digest in zip(PIECES[:3], DIGESTS[:3], strict=True):
                encoding, stored = encode(piece, 1)
                await lane.write(digest, stored, encoding=encoding, raw_length=len(piece))
            assert (await api.ask("POST", "/v1/captures", json=ask))[0] == 423
        for _ in range(100):
            status, second, _ = await api.ask("POST", "/v1/captures", json=ask)
            if status == 201:
                break
            await asyncio.sleep(0.05)
        assert second == first
        assert (await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc2"}))[0] == 423
        async with lane_of(second) as lane:
            assert await lane.contains(DIGESTS) == [True] * 3 + [False] * 3
            for piece, digest in zip(PIECES[3:], DIGESTS[3:], strict=True):
                encoding, stored = encode(piece, 1)
                await lane.write(digest, stored, encoding=encoding, raw_length=len(piece))
            path = f"/v1/captures/{second['capture']}/manifest"
            status, committed, _ = await api.ask("PUT", path, data=unsigned("win", CONTENT))
        assert (status, committed["image"]["version"]) == (201, 1)
        assert committed["bytes_new"] >= len(CONTENT)


async def test_a_relay_takes_no_captures_its_clients_would_refuse(daemon, relayed) -> None:
    async with daemon() as api:
        status, refused, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
    assert (status, refused["code"]) == (400, 1)
    assert "main repository" in refused["hint"]


async def test_a_large_image_may_come_in_larger_chunks_than_the_settings_ask_for(daemon) -> None:
    async with daemon(chunk_size=CHUNK) as api, asyncio.timeout(30):
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        assert opened["chunk_size"] == CHUNK
        async with lane_of(opened) as lane:
            raw = bytes(16 << 20)
            encoding, stored = encode(raw, 1)
            await lane.write(digest_of(raw), stored, encoding=encoding, raw_length=len(raw))
            assert await lane.contains([digest_of(raw)]) == [True]


async def test_a_capture_is_cut_as_the_version_before_where_the_settings_leave_it_open(
    daemon, unsigned, upload
) -> None:
    async with daemon() as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        assert opened["chunk_size"] == 0
        upload(CONTENT)
        await api.ask("PUT", f"/v1/captures/{opened['capture']}/manifest", data=unsigned("win", CONTENT))
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        assert opened["chunk_size"] == CHUNK


async def test_a_full_disk_is_507_and_the_repository_is_as_before(daemon, unsigned, upload, monkeypatch) -> None:
    from core.errors import RepositoryFullError

    def full(*_: object, **__: object) -> None:
        raise RepositoryFullError("no space left", hint="repod gc frees what nothing uses")

    async with daemon() as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        upload(CONTENT)
        path = f"/v1/captures/{opened['capture']}/manifest"
        with monkeypatch.context() as patch:
            patch.setattr("images.repository.Repository.publish", full)
            status, body, _ = await api.ask("PUT", path, data=unsigned("win", CONTENT))
        assert (status, body["error"], body["code"]) == (507, "RepositoryFullError", 23)
        assert (await api.ask("GET", "/v1/images"))[1] == {"images": []}
        assert (await api.ask("PUT", path, data=unsigned("win", CONTENT)))[0] == 201


async def test_a_writer_that_cannot_flush_frees_the_name_all_the_same(daemon, monkeypatch) -> None:
    from core.errors import RepositoryFullError

    def full(*_: object) -> None:
        raise RepositoryFullError("no space left")

    async with daemon() as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc1"})
        with monkeypatch.context() as patch:
            patch.setattr("repod.guarded_writer.GuardedWriter.close", full)
            assert (await api.ask("DELETE", f"/v1/captures/{opened['capture']}"))[0] == 204
        assert (await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc2"}))[0] == 201
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b'ogcast_events_total{event="capture_failed"} 1.0' in text


async def test_a_commit_whose_answer_is_lost_is_answered_again_and_makes_one_version(
    daemon, unsigned, upload, monkeypatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    publish = Repository.publish

    def slow(self: Repository, *args: Any, **options: Any) -> Any:
        entered.set()
        go_on.wait(20)
        return publish(self, *args, **options)

    monkeypatch.setattr(Repository, "publish", slow)
    async with daemon() as api, asyncio.timeout(30):
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        upload(CONTENT)
        path = f"/v1/captures/{opened['capture']}/manifest"
        first = asyncio.ensure_future(api.ask("PUT", path, data=unsigned("win", CONTENT)))
        await asyncio.to_thread(entered.wait, 20)
        first.cancel()  # the connection is cut
        assert (await api.ask("PUT", path, data=unsigned("win", CONTENT)))[0] == 423
        go_on.set()
        while (asked := await api.ask("PUT", path, data=unsigned("win", CONTENT)))[0] == 423:
            pass
        assert (asked[0], asked[1]["image"]["version"]) == (201, 1)
        _, listed, _ = await api.ask("GET", "/v1/images")
        assert [image["version"] for image in listed["images"]] == [1]


async def test_a_commit_is_noted_even_if_its_request_is_cancelled(layout, unsigned, upload, monkeypatch) -> None:
    monkeypatch.setattr(Lanes, "open_capture", lambda self, grant: [])
    with Repository.open(layout.root) as repository:
        captures = build_daemon(layout, repository, load_settings(layout).value).captures
        owner = CaptureOwner(host="pc1", address="127.0.0.1", token="t")
        opened = await captures.open(CaptureRequest(name="win", host="pc1"), owner=owner)
        upload(CONTENT)
        request = asyncio.ensure_future(captures.commit(SessionId(opened.capture), unsigned("win", CONTENT)))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        again = await captures.commit(SessionId(opened.capture), unsigned("win", CONTENT))
        assert again.image.version == 1
        assert [entry.version for entry in repository.images()] == [1]


async def test_a_capture_that_begins_to_be_published_while_another_expires_does_not_end_the_daemon(
    layout, unsigned, upload, monkeypatch
) -> None:
    closing, publishing, go_on = threading.Event(), threading.Event(), threading.Event()
    close, publish = GuardedWriter.close, Repository.publish

    def slow_close(self: GuardedWriter) -> None:
        closing.set()
        assert publishing.wait(20)
        close(self)

    def slow_publish(self: Repository, *args: Any, **options: Any) -> Any:
        publishing.set()
        assert go_on.wait(20)
        return publish(self, *args, **options)

    monkeypatch.setattr(Lanes, "open_capture", lambda self, grant: [])
    monkeypatch.setattr(GuardedWriter, "close", slow_close)
    monkeypatch.setattr(Repository, "publish", slow_publish)
    with Repository.open(layout.root) as repository:
        captures = build_daemon(layout, repository, load_settings(layout).value).captures
        now = 1000.0
        monkeypatch.setattr(captures, "_clock", lambda: now)
        owner = CaptureOwner(host="pc1", address="127.0.0.1", token="t")
        await captures.open(CaptureRequest(name="one", host="pc1"), owner=owner)
        two = await captures.open(CaptureRequest(name="two", host="pc1"), owner=owner)
        upload(CONTENT)
        now += 3600
        expiring = asyncio.ensure_future(captures.expire())
        assert await asyncio.to_thread(closing.wait, 20)
        committing = asyncio.ensure_future(captures.commit(SessionId(two.capture), unsigned("two", CONTENT)))
        await expiring
        assert [capture.name for capture in captures.table] == ["two"]
        go_on.set()
        assert (await committing).image.name == "two"


async def test_a_request_that_ends_while_the_store_is_opened_leaves_nothing_open(layout, monkeypatch) -> None:
    entered, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    writer, close = Repository.writer, GuardedWriter.close

    def slow(self: Repository, *, purpose: str) -> Any:
        entered.set()
        assert go_on.wait(20)
        return writer(self, purpose=purpose)

    def note(self: GuardedWriter) -> None:
        close(self)
        closed.set()

    monkeypatch.setattr(Repository, "writer", slow)
    monkeypatch.setattr(GuardedWriter, "close", note)
    with Repository.open(layout.root) as repository:
        captures = build_daemon(layout, repository, load_settings(layout).value).captures
        owner = CaptureOwner(host="pc1", address="127.0.0.1", token="t")
        request = asyncio.ensure_future(captures.open(CaptureRequest(name="win", host="pc1"), owner=owner))
        assert await asyncio.to_thread(entered.wait, 20)
        request.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert closed.is_set()
        assert len(captures.table) == 0
