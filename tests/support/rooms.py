"""A repository and its clients as programs on the lab's hosts, for tests."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.lab.rig import Rig
from bench.lab.topology import Topology

__all__ = ["BUSY", "IDLE", "PORT", "Client", "Repod", "Room", "came_by_group", "room_of"]

ROOT = Path(__file__).parents[2]
LOAD = ROOT / "tests" / "support" / "load.py"
IDLE: Sequence[str | Path] = (sys.executable, LOAD, "idle")
"""In front of a client: whether its peers stand by does not depend on what else this machine does."""
BUSY: Sequence[str | Path] = (sys.executable, LOAD, "busy")
"""The same for whether it takes symbols on trust."""
PORT = 8717
START_S = 60.0
END_S = 180.0
CHUNK_BYTES = 4 << 20
"""Of the images of a room: few enough to say at which of them something happens."""


class Client:
    """One `ogcast` under way."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.began = time.monotonic()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it told so far."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """Its events of one name."""
        return [event for event in self.events if event["event"] == name]

    def until(self, name: str, *, seconds: float = START_S, **fields: Any) -> dict[str, Any]:
        """The first event `name` that has `fields`; waits for it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in self.named(name):
                if fields.items() <= event.items():
                    return event
            if self.process.poll() is not None and not self.named(name):
                break
            time.sleep(0.02)
        raise AssertionError(f"no event {name} {fields}: {self._log.read_text()[-3000:]}")

    def until_chunks(self, chunks: int, *, seconds: float = 3 * END_S) -> None:
        """Wait until it has so many chunks, and not yet all."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            progress = self.named("progress")
            if progress and progress[-1]["chunks_done"] >= chunks:
                assert progress[-1]["chunks_done"] < progress[-1]["chunks"], "it is done already"
                return
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            time.sleep(0.02)
        raise AssertionError(f"not {chunks} chunks in {seconds} s: {self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def done(self, seconds: float = END_S) -> dict[str, Any]:
        """Its last event; it must have succeeded."""
        self.process.wait(seconds)
        assert self.process.returncode == 0, self._log.read_text()[-3000:]
        return self.events[-1]

    def failed(self, seconds: float = END_S) -> dict[str, Any]:
        """Its last event; it must have failed."""
        assert self.process.wait(seconds) != 0, self._log.read_text()[-3000:]
        return self.events[-1]


def came_by_group(done: Mapping[str, Any]) -> None:
    """A client had its image from the group; what the end of it lacked may be mended by others on a busy machine."""
    sources = done["bytes_by_source"]
    assert sources.get("multicast", 0) > 0.6 * sum(sources.values()), sources


class Repod:
    """One `repod serve` under way."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        deadline = time.monotonic() + START_S
        while "repod: serving" not in self.text:
            assert process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    @property
    def text(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line.get("event") == name]

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As an operator would."""
        self.process.terminate()
        assert self.process.wait(20) == 0, self.text[-2000:]


class Room:
    """A lab with a repository of one image, `img`, on the host `server`."""

    def __init__(
        self, rig: Rig, folder: Path, *, image_bytes: int, chunk_bytes: int, settings: Mapping[str, object]
    ) -> None:
        self.rig = rig
        self.folder = folder
        self.content = random.Random(1).randbytes(image_bytes)
        self.repository = folder / "repository"
        self._settings = folder / "repository" / "client.toml"
        self._count = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        source = folder / "image.raw"
        source.write_bytes(self.content)
        self.repod_command("init", self.repository)
        self.repod_command("import", self.repository, source, "--name", "img", "--chunk-size", str(chunk_bytes))
        self.configure(self.repository, settings)

    def use(self, settings: Path) -> None:
        """Clients started from now on have these settings."""
        self._settings = settings

    def configure(self, repository: Path, settings: Mapping[str, object]) -> None:
        """Set keys of [transports.multicast]."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        path = repository / "repod.toml"
        path.write_text("\n".join([path.read_text(), "[transports.multicast]", *lines, ""]))

    def repod_command(self, *words: str | Path, host: str = "") -> str:
        """Run a command of repod on this machine, or on a host of the lab."""
        line = [sys.executable, "-m", "repod", *map(str, words)]
        line = self.rig.command(host, line) if host else line
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sessions(self) -> str:
        """What `repod sessions` shows."""
        url = f"https://{self.rig.topology.address('server')}:{PORT}"
        return self.repod_command("sessions", self.repository, "--url", url, host="server")

    def serve(
        self,
        host: str = "server",
        *,
        repository: Path | None = None,
        port: int = PORT,
        interface: str = "eth0",
        listen: str = "",
        before: Sequence[str | Path] = (),
    ) -> Repod:
        """Start `repod serve` on a host, listening on `listen` or the interface's address; `before` as for `client`."""
        self._count += 1
        log = self.folder / f"repod{self._count}.log"
        words = [*before, sys.executable, "-m", "repod", "serve", repository or self.repository]
        words += ["--interface", interface, "--port", str(port), *(["--host", listen] if listen else [])]
        with log.open("wb") as out:
            process = self.rig.start(host, words, cwd=ROOT, stdout=out, stderr=out)
        self.processes.append(process)
        return Repod(process, log)

    def client(
        self,
        host: str,
        *words: str | Path,
        command: str = "restore",
        target: Path | str | None = None,
        method: str = "MULTICAST-DIRECT",
        repo: str = "",
        interface: str = "",
        image: str = "img",
        before: Sequence[str | Path] = (),
    ) -> Client:
        """Start a restore on a host; `before` are words in front of the program, such as `env` and its settings."""
        self._count += 1
        log = self.folder / f"{host}.{self._count}.log"
        config = self.folder / f"{host}.toml"
        text = self._settings.read_text()
        config.write_text(f'state_dir = "{self.folder / host}"\nseed = false\n' + text)
        url = repo or f"https://{self.rig.topology.address('server')}:{PORT}"
        chosen = ["--interface", interface] if interface else []
        to = self.target(host) if target is None else target
        line = [*before, sys.executable, "-m", "client", "--config", config, "--repo", url, *chosen, "--json", command]
        line += [image]
        line += [to] if to else []
        with log.open("wb") as out:
            process = self.rig.start(host, [*line, "--method", method, *words], cwd=ROOT, stdout=out, stderr=out)
        self.processes.append(process)
        return Client(process, log)

    def ask(self, path: str) -> str:
        """What the repository answers its operator."""
        script = (
            "import ssl, sys, urllib.request as web;"
            "asked = web.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]});"
            "print(web.urlopen(asked, context=ssl._create_unverified_context()).read().decode())"
        )
        url = f"https://{self.rig.topology.address('server')}:{PORT}{path}"
        token = tomllib.loads((self.repository / "operator.toml").read_text())["token"]
        line = self.rig.command("server", [sys.executable, "-c", script, url, token])
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout

    def metrics(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Samples of a family, as an operator sees them: labels and value."""
        text = self.ask("/metrics")
        found = re.findall(rf"^{re.escape(name)}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found]

    def target(self, host: str) -> Path:
        """Where a client of a host writes."""
        return self.folder / f"{host}.img"

    def check(self, *hosts: str) -> None:
        """Every byte is there."""
        for host in hosts:
            assert self.target(host).read_bytes() == self.content, host


@contextmanager
def room_of(
    topology: Topology, folder: Path, *, image_bytes: int = 8 << 20, chunk_bytes: int = CHUNK_BYTES, **settings: object
) -> Iterator[Room]:
    """A lab with a repository, torn down whatever happens."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with Rig(topology) as rig:
            settings = {"rate_mbit_per_s": 150, **settings}
            lab = Room(rig, folder, image_bytes=image_bytes, chunk_bytes=chunk_bytes, settings=settings)
            processes = lab.processes
            yield lab
    finally:
        for process in processes:  # the lab has ended them
            process.wait()
