"""A relay beside its main repository; tests/integration/test_multicast_room.py has one in a subnet of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from client.config import load_settings
from client.relaying import Relay
from client.run import Run
from core.errors import AuthenticationError, LockedError, NotFoundError, UsageError
from images.repository import Repository
from repod.initialise import initialise
from tests.client.conftest import Room

pytestmark = pytest.mark.asyncio


class Told:
    """A reporter that remembers, and wakes who waits for an event."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.news = asyncio.Event()

    def event(self, name: str, fields: Any) -> None:
        self.names.append(name)
        self.news.set()

    def close(self) -> None: ...

    async def until(self, name: str) -> None:
        async with asyncio.timeout(30):
            while name not in self.names:
                self.news.clear()
                await self.news.wait()


def _relay(room: Room, store: Path, told: Told, *names: str, port: int = 0) -> Relay:
    settings = load_settings(room.config, repo=room.url, interface=None)
    return Relay(
        run=Run(settings=settings, reporter=told),
        names=names,
        store=store,
        method="UNICAST-CACHE",
        port=port,
        interface="lo",
        refresh_s=0.2,
    )


async def test_it_fetches_serves_and_ends_its_child(room: Room, tmp_path: Path) -> None:
    told = Told()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = tmp_path / "relay"
    relay = _relay(room, store, told, "room1", port=port)
    task = asyncio.ensure_future(relay.perform())
    await told.until("relay")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "the store keeps what it has" in str(relay.run.resume_hint)
    with Repository.open(store, read_only=True) as repository:
        assert [str(entry.ref) for entry in repository.images()] == ["room1@1"]
    main = load_settings(room.config, repo=None, interface=None)
    assert load_settings(store / "client.toml", repo=None, interface=None).public_key == main.public_key
    with socket.create_server(("127.0.0.1", port)):  # nobody listens there any more
        pass


async def test_restarted_it_serves_what_it_has_where_the_main_repository_refuses_it(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "relay"
    for token in (None, "x" * 43):
        if token is not None:
            monkeypatch.setenv("OGCAST_TOKEN", token)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        told = Told()
        task = asyncio.ensure_future(_relay(room, store, told, "room1", port=port).perform())
        await told.until("relay")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ("warning" in told.names) == (token is not None)
    with pytest.raises(AuthenticationError):
        await _relay(room, tmp_path / "other", Told(), "room1", port=port).perform()


async def test_a_repository_with_images_of_its_own_is_no_store(room: Room) -> None:
    before = room.config.read_bytes()
    with pytest.raises(UsageError, match="images of its own"):
        await _relay(room, room.root, Told(), "room1").perform()
    assert room.config.read_bytes() == before
    assert not (room.root / "relay.log").exists()


async def test_a_repository_that_was_made_for_a_relay_is_taken(room: Room, tmp_path: Path) -> None:
    store = tmp_path / "made"
    initialise(store, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    await asyncio.to_thread(_relay(room, store, Told(), "room1")._check_no_other)


async def test_an_image_that_is_not_there_leaves_no_store_behind(room: Room, tmp_path: Path) -> None:
    store = tmp_path / "relay"
    with pytest.raises(NotFoundError):
        await _relay(room, store, Told(), "room1", "nosuch").perform()
    assert not store.exists()


async def test_without_a_name_there_is_nothing_to_relay(room: Room, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        await _relay(room, tmp_path / "relay", Told()).perform()


async def test_a_port_that_stays_taken_is_an_error_with_the_place_of_the_log(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.relaying.PREDECESSOR_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        relay = _relay(room, tmp_path / "relay", Told(), "room1", port=port)
        await relay._prepare()
        with pytest.raises(LockedError) as caught:
            await relay._serve()
    assert str(caught.value).startswith(f"repod of the relay did not start: port {port}")
    assert "relay.log" in str(caught.value.hint)


@pytest.mark.parametrize("host", ["", "127.0.0.1", "::1"])
async def test_a_port_that_is_taken_is_told_before_anything_is_fetched(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr("client.relaying.PREDECESSOR_S", 0.0)
    monkeypatch.setenv("REPOD_HOST", host)
    address = host or "127.0.0.1"
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        port = taken.getsockname()[1]
        told = Told()
        with pytest.raises(LockedError) as caught:
            await _relay(room, tmp_path / "relay", told, "room1", port=port).perform()
    assert str(caught.value) == f"the relay cannot serve: port {port} of {address} is in use"
    assert "--port" in str(caught.value.hint)
    assert told.names == []
    assert not (tmp_path / "relay").exists()


async def test_the_port_of_one_that_is_about_to_leave_is_waited_for(room: Room, tmp_path: Path) -> None:
    told, store = Told(), tmp_path / "relay"
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        task = asyncio.ensure_future(_relay(room, store, told, "room1", port=port).perform())
        await told.until("notice")
        assert not store.exists()
    await told.until("relay")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_repod_that_is_about_to_leave_is_waited_for(room: Room, tmp_path: Path) -> None:
    told, store = Told(), tmp_path / "relay"
    log = store / "relay.log"
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        relay = _relay(room, store, told, "room1", port=port)
        await relay._prepare()
        task = asyncio.ensure_future(relay._serve())
        async with asyncio.timeout(30):
            while not (log.exists() and b"in use" in log.read_bytes()):  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.02)
    child = await task
    assert told.names == ["relay"]
    child.terminate()
    await child.wait()


async def test_what_a_start_takes_is_no_waiting_for_another_repod(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    program = f"""
import pathlib, sys, time
before = pathlib.Path({str(before)!r})
if not before.exists():
    before.touch()
    time.sleep(0.5)
    sys.exit({LockedError.exit_code})
print("repod: serving", "here", flush=True)
time.sleep(600)
"""
    monkeypatch.setattr("client.relaying._repod_words", lambda *words: [sys.executable, "-c", program])
    monkeypatch.setattr("client.relaying.PREDECESSOR_S", 0.4)
    child = await _relay(room, tmp_path, Told(), "room1")._serve()
    assert before.exists()
    child.terminate()
    await child.wait()


async def test_one_that_is_stopped_while_its_child_starts_leaves_no_child(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "pid"
    program = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr("client.relaying._repod_words", lambda *words: [sys.executable, "-c", program])
    serving = asyncio.ensure_future(_relay(room, tmp_path, Told(), "room1")._serve())
    async with asyncio.timeout(30):
        while not (told.exists() and told.read_text()):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.02)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.parametrize(
    ("field", "value"), [("method", "NOSUCH-CACHE"), ("method", "UNICAST-DIRECT"), ("refresh_s", float("nan"))]
)
async def test_what_cannot_be_meant_is_refused_before_the_store_is_made(
    room: Room, tmp_path: Path, field: str, value: object
) -> None:
    relay = dataclasses.replace(_relay(room, tmp_path / "relay", Told(), "room1"), **{field: value})
    with pytest.raises(UsageError):
        await relay.perform()
    assert not (tmp_path / "relay").exists()
