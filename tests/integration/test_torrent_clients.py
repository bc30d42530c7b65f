"""Real BitTorrent clients take a published image from the real daemon and from each other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import bencode2
import pytest

from core.cli import run
from core.ids import ImageRef
from images.exporters import export_raw, export_zst
from images.extents import Extents, Kind
from images.repository import Repository
from repod.cli import app
from repod.layout import Layout
from repod.torrents.publications import Publication, Publications
from tests.repod.conftest import NOW, Api, running
from tests.support.images import make_image

pytestmark = [pytest.mark.asyncio, pytest.mark.tools("aria2c")]

MIB = 1 << 20
PATIENCE_S = 90
ALONE = ["--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false"]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A repository with an image that has DATA, ZERO and SKIP, both encodings, and ends in the middle of a chunk."""
    from repod.initialise import initialise

    layout = Layout(tmp_path / "repository")
    initialise(layout.root, hosts=["127.0.0.1"], now=NOW)
    lengths = [3 * MIB, 512 * 1024, 2 * MIB, 256 * 1024, 2 * MIB + 512]
    kinds = [Kind.DATA, Kind.SKIP, Kind.DATA, Kind.ZERO, Kind.DATA]
    with Repository.open(layout.root) as repository, repository.writer() as writer:
        made = make_image(writer, Extents.from_lengths(lengths, kinds), name="room", block_size=512)
        repository.publish(made.manifest, sign=layout.load_signing_key(), writer=writer)
    return layout


@pytest.fixture
def exported(layout: Layout, tmp_path: Path) -> Callable[[str], bytes]:
    """What a plain export gives."""

    def export(form: str) -> bytes:
        target = tmp_path / f"plain.{form}"
        with Repository.open(layout.root) as repository, repository.pin(ImageRef.parse("room")) as pinned:
            (export_zst if form == "zst" else export_raw)(pinned.manifest, repository, str(target))
        return target.read_bytes()

    return export


@pytest.fixture
def ports() -> Iterator[Callable[[], int]]:
    """Ports of loopback that were free a moment ago, no two alike."""
    with contextlib.ExitStack() as held:

        def free() -> int:
            sock = held.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
            return int(sock.getsockname()[1])

        yield free


def publish(layout: Layout, base: str, form: str, out: Path) -> Publication:
    """By the command, as an operator does it."""
    assert run(app, ["export", str(layout.root), "room", str(out), "--torrent", "--format", form, "--url", base]) == 0
    return Publications(layout).all()[-1]


def without_web_seed(torrent: Path) -> Path:
    """The same torrent for a client that must take everything from peers."""
    values = bencode2.bdecode(torrent.read_bytes())
    del values[b"url-list"]
    peers_only = torrent.with_name("peers-only.torrent")
    peers_only.write_bytes(bencode2.bencode(values))
    return peers_only


@contextlib.asynccontextmanager
async def aria2(folder: Path, source: str, port: int, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client that downloads `source` (a torrent or the URL of one) to `folder`; it is ended with the block."""
    arguments = [
        *ALONE,
        f"--listen-port={port}",
        "--file-allocation=none",
        "--no-conf",
        "--summary-interval=0",
        *options,
    ]
    process = await asyncio.create_subprocess_exec(
        "aria2c", *arguments, f"--dir={folder}", source, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def swarm(api: Api) -> dict[str, Any]:
    """What the operator is told of the one torrent."""
    _, answer, _ = await api.ask("GET", "/v1/torrents", role="operator")
    (row,) = answer["torrents"]
    return dict(row)


async def bytes_sent(api: Api) -> int:
    """What the web seed sent so far."""
    _, text, _ = await api.ask("GET", "/metrics", role=None)
    line = next(line for line in text.decode().splitlines() if line.startswith("ogcast_torrent_bytes_sent_total"))
    return int(float(line.split()[1]))


@contextlib.contextmanager
def libtorrent_client(torrent: Path, folder: Path, port: int) -> Iterator[Callable[[], bool]]:
    """A client that downloads `torrent` to `folder` and seeds it; gives what tells whether it has all of it."""
    libtorrent = pytest.importorskip("libtorrent")
    settings = {
        "listen_interfaces": f"127.0.0.1:{port}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "unchoke_interval": 1,
        "stop_tracker_timeout": 0,  # its end would wait for the tracker, which runs in this thread
        "allow_multiple_connections_per_ip": True,  # all clients of this test have one address
    }
    session = libtorrent.session(settings)
    wanted = libtorrent.load_torrent_file(str(torrent))
    wanted.save_path = str(folder)
    handle = session.add_torrent(wanted)

    def complete() -> bool:
        status = handle.status()
        assert not status.errc.value(), status.errc.message()
        return bool(status.is_seeding)

    yield complete
    session.pause()


async def until(true: Callable[[], bool]) -> None:
    """Wait for a client that only answers questions."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_clients_of_both_kinds_take_it_from_each_other(
    layout: Layout, exported: Callable[[str], bytes], ports: Callable[[], int], tmp_path: Path
) -> None:
    """One of each kind knows the web seed, the others must have every byte from them or from each other.

    aria2 before 1.37 takes a hybrid torrent for another one than everybody else, so each kind needs its own first.
    """
    port = ports()
    torrent = tmp_path / "room.torrent"
    publication = publish(layout, f"http://127.0.0.1:{port}", "zst", torrent)
    whole = exported("zst")
    assert publication.length == len(whole)
    peers_only = without_web_seed(torrent)
    async with running(layout, **{"torrents.http_port": port}) as api, asyncio.timeout(PATIENCE_S):
        url = f"http://127.0.0.1:{port}/torrents/{publication.secret}/{publication.file_name}.torrent"
        async with (
            aria2(tmp_path / "a-first", url, ports(), "--follow-torrent=mem", "--seed-ratio=0"),
            aria2(tmp_path / "a-second", str(peers_only), ports(), "--seed-time=0") as second,
            aria2(tmp_path / "a-third", str(peers_only), ports(), "--seed-time=0") as third,
        ):
            with (
                libtorrent_client(torrent, tmp_path / "l-first", ports()) as first_complete,
                libtorrent_client(peers_only, tmp_path / "l-second", ports()) as second_complete,
            ):
                assert await second.wait() == await third.wait() == 0
                await until(lambda: first_complete() and second_complete())
                while (row := await swarm(api))["complete"] < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            sent = await bytes_sent(api)
    assert (row["id"], row["bytes"]) == (publication.id, len(whole))
    for folder in ("a-first", "a-second", "a-third", "l-first", "l-second"):
        assert (tmp_path / folder / publication.file_name).read_bytes() == whole
    assert len(whole) <= sent < 3 * len(whole)


async def test_a_client_killed_midway_leaves_its_turn_to_others(
    layout: Layout, exported: Callable[[str], bytes], ports: Callable[[], int], tmp_path: Path
) -> None:
    port = ports()
    torrent = tmp_path / "room.torrent"
    publication = publish(layout, f"http://127.0.0.1:{port}", "zst", torrent)
    whole = exported("zst")
    async with (
        running(layout, **{"torrents.http_port": port, "torrents.transfers": 1}) as api,
        asyncio.timeout(PATIENCE_S),
    ):
        slow = ("--max-download-limit=256K", "--seed-time=0")
        async with aria2(tmp_path / "one", str(torrent), ports(), *slow) as killed:
            while await bytes_sent(api) < len(whole) // 8:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert killed.returncode is None, "it must be under way still"
        async with aria2(tmp_path / "two", str(torrent), ports(), "--seed-time=0") as client:  # there is one turn
            assert await client.wait() == 0
    assert (tmp_path / "two" / publication.file_name).read_bytes() == whole


async def test_over_https_with_the_certificate_of_the_repository(
    layout: Layout, exported: Callable[[str], bytes], ports: Callable[[], int], tmp_path: Path
) -> None:
    port = ports()
    publication = publish(layout, f"https://127.0.0.1:{port}", "raw", tmp_path / "room.torrent")
    async with running(layout, port=port), asyncio.timeout(PATIENCE_S):
        trust = f"--ca-certificate={layout.certificate}"
        source = str(tmp_path / "room.torrent")
        async with (
            aria2(tmp_path / "one", source, ports(), trust, "--seed-time=0") as one,
            aria2(tmp_path / "two", source, ports(), trust, "--seed-time=0") as two,
            aria2(tmp_path / "wrong", source, ports(), "--seed-time=0", "--bt-stop-timeout=1") as wrong,
        ):
            assert await one.wait() == await two.wait() == 0
            assert await wrong.wait() != 0, "a client that was not told to trust the certificate takes nothing"
    for folder in ("one", "two"):
        assert (tmp_path / folder / publication.file_name).read_bytes() == exported("raw")


async def test_who_is_killed_in_the_middle_takes_only_what_it_lacks_afterwards(
    layout: Layout, exported: Callable[[str], bytes], ports: Callable[[], int], tmp_path: Path
) -> None:
    """From the web seed alone, in ranges, while a client of the other kind takes it as well."""
    port = ports()
    torrent = tmp_path / "room.torrent"
    publication = publish(layout, f"http://127.0.0.1:{port}", "raw", torrent)
    whole = exported("raw")
    folder = tmp_path / "killed"
    notes = folder / f"{publication.file_name}.aria2"
    alone = ["--bt-exclude-tracker=*", "--seed-time=0", "--auto-save-interval=1"]
    async with running(layout, **{"torrents.http_port": port}) as api, asyncio.timeout(PATIENCE_S):
        async with aria2(folder, str(torrent), ports(), *alone, "--max-overall-download-limit=512K") as killed:
            while await bytes_sent(api) < MIB:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            seen = notes.stat().st_mtime_ns if notes.exists() else 0
            await until(lambda: notes.exists() and notes.stat().st_mtime_ns > seen)
            assert killed.returncode is None
            killed.kill()
            await killed.wait()
        with libtorrent_client(torrent, tmp_path / "other", ports()) as complete:
            await until(complete)
        before = await bytes_sent(api)
        async with aria2(folder, str(torrent), ports(), *alone) as again:
            assert await again.wait() == 0
        assert await bytes_sent(api) - before < len(whole)
    for name in ("killed", "other"):
        assert (tmp_path / name / publication.file_name).read_bytes() == whole
