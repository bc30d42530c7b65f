"""A room: the real daemon on loopback with one image, and the real `ogcast` as a subprocess."""

from __future__ import annotations

import datetime
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client.seeders import running_seeders, seeders_folder, stop
from core.ids import Digest, ImageRef
from images.repository import Repository
from images.signing import SigningKey
from repod.initialise import initialise
from repod.layout import Layout
from tests.support.images import MadeImage, make_image, random_extents

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
IMAGE_SIZE = 48 * MIB + 12288 + 512
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of ogcast ended."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    @property
    def last(self) -> dict[str, Any]:
        """The last event."""
        return self.events[-1]


@dataclass(slots=True)
class Room:
    """One repository, its daemon, and clients of it."""

    root: Path
    port: int
    image: MadeImage
    state: Path
    _daemon: subprocess.Popen[bytes] | None = None
    _clients: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The client.toml that `repod init` wrote."""
        return self.root / "client.toml"

    @property
    def url(self) -> str:
        """Where the daemon listens."""
        return f"https://127.0.0.1:{self.port}"

    def key(self) -> SigningKey:
        """The key that signs manifests here."""
        return Layout(self.root).load_signing_key()

    def serve(self, *options: str, program: str = "repod") -> None:
        """Start the daemon, or a module in its place, and wait for its line."""
        self._daemon = subprocess.Popen(
            [
                sys.executable,
                "-m",
                program,
                "serve",
                str(self.root),
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline()

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End the daemon."""
        if self._daemon is not None:
            self._daemon.send_signal(number)
            self._daemon.wait(PATIENCE_S)
            assert self._daemon.stdout is not None
            self._daemon.stdout.close()
            self._daemon = None

    def start(
        self, *arguments: str | Path, config: Path | None = None, url: str | None = None
    ) -> subprocess.Popen[str]:
        """Start `ogcast --json` with `arguments`."""
        command = [sys.executable, "-m", "client", "--config", str(config or self.config), "--repo", url or self.url]
        client = subprocess.Popen(
            [*command, "--json", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OGCAST_STATE_DIR": str(self.state)},
        )
        self._clients.append(client)
        return client

    def ogcast(self, *arguments: str | Path, config: Path | None = None) -> Ended:
        """Run `ogcast --json` with `arguments` to its end."""
        return self.finished(self.start(*arguments, config=config))

    def finished(self, client: subprocess.Popen[str]) -> Ended:
        """Wait for a client."""
        out, errors = client.communicate(timeout=PATIENCE_S * 2)
        return Ended(client.returncode, [json.loads(line) for line in out.splitlines()], errors)

    def journal_bytes(self) -> int:
        """Size of the journals, to see how far a restore is."""
        return sum(path.stat().st_size for path in self.state.glob("*.ogj"))

    def wait_for_chunks(self, client: subprocess.Popen[str], chunks: int) -> bool:
        """Wait until a restore wrote `chunks`; False if it ended before."""
        deadline = time.monotonic() + PATIENCE_S
        while client.poll() is None and time.monotonic() < deadline:
            try:
                if self.journal_bytes() >= 88 + 8 * chunks:
                    return True
            except FileNotFoundError:
                pass
        return False

    def end_seeders(self) -> None:
        """End what commands left in the background."""
        folder = seeders_folder(self.state)
        for note in running_seeders(folder):
            stop(folder, note)

    def close(self) -> None:
        """End everything."""
        self.end_seeders()
        for client in self._clients:
            if client.poll() is None:
                client.kill()
                client.communicate()
            for pipe in (client.stdout, client.stderr):
                if pipe is not None:
                    pipe.close()
        self.stop()


def make_room(base: Path) -> Room:
    """A repository with the image `room1`, not served yet."""
    root = base / "repository"
    initialise(root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    layout = Layout(root)
    extents = random_extents(random.Random(3), IMAGE_SIZE)
    with Repository.open(root) as repository, repository.writer() as writer:
        image = make_image(writer, extents)
        repository.publish(image.manifest, sign=layout.load_signing_key(), writer=writer)
    return Room(root, free_port(), image, base / "state")


def free_port() -> int:
    """A port with a free one after it: the control API and the data lane."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def served(base: Path) -> Iterator[Room]:
    made = make_room(base)
    try:
        made.serve()
        yield made
    finally:
        made.close()


def damage_chunk(cache: Path, digest: Digest) -> None:
    """Flip a bit of a stored chunk."""
    with Repository.open(cache) as store:
        place = store.locate(digest)
        path = os.readlink(f"/proc/self/fd/{place.fd}")
        offset = place.offset + place.length // 2
    with open(path, "r+b") as pack:
        pack.seek(offset)
        byte = pack.read(1)
        pack.seek(offset)
        pack.write(bytes([byte[0] ^ 1]))


def digests_of(cache: Path) -> list[Digest]:
    """Digests of the chunks of room1."""
    with Repository.open(cache) as store, store.pin(ImageRef("room1")) as pinned:
        return pinned.manifest.digests()


@pytest.fixture
def own_room(tmp_path: Path) -> Iterator[Room]:
    """A room with its daemon running, for a test that stops it or changes what it holds."""
    yield from served(tmp_path)


@pytest.fixture(scope="module")
def _shared_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    yield from served(tmp_path_factory.mktemp("room"))


@pytest.fixture
def room(_shared_room: Room, tmp_path: Path) -> Iterator[Room]:
    """A room that others of the same file use too; journals are this test's own."""
    _shared_room.state = tmp_path / "state"
    yield _shared_room
    _shared_room.end_seeders()
