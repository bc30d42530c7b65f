"""A repository and its clients in a lab: real `repod` and `ogcast` processes, run as an operator would run them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.compare import first_difference, stain
from bench.lab.counters import PathCounters
from bench.lab.memory import find_memory
from bench.lab.race import Finish, Race
from bench.lab.rig import Rig
from bench.lab.topology import INTERFACE
from bench.measure import tree_cpu_s
from bench.site import ROOT, Daemon, Site
from core.config import toml_value
from core.errors import OgcastError
from core.ids import ImageRef
from images.extents import Extents
from images.repository import Repository

__all__ = [
    "METHOD",
    "NAME",
    "Classroom",
    "ClientRun",
    "Lesson",
    "Transfer",
    "difference",
    "random_image",
]

NAME = "bench"
"""Name of the image in the repository."""
METHOD = "MULTICAST-DIRECT"
NOTHING = "null:"
"""Target that verifies everything and keeps nothing."""
PIECE_BYTES = 8 << 20
STDERR_TAIL_BYTES = 600


def random_image(path: Path, size: int) -> Path:
    """Write `size` bytes that do not compress."""
    with path.open("wb") as file:
        for start in range(0, size, PIECE_BYTES):
            file.write(os.urandom(min(PIECE_BYTES, size - start)))
    return path


def difference(source: Path, target: Path, extents: Extents) -> str:
    """Why a target, file or device, is not the image in `source`; empty if it is."""
    size = source.stat().st_size
    if target.is_file() and target.stat().st_size != size:
        return f"the target has {target.stat().st_size} bytes"
    where = first_difference(source, target, extents)
    return "" if where is None else f"the target differs at byte {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRun:
    """One `ogcast` and what it said."""

    host: str
    finish: Finish
    events: Sequence[Mapping[str, Any]]
    """Its --json events, in order."""
    last_event_s: float
    """When it told its last event, seconds since the race began."""
    complaint: str
    """Why the run does not count: exit code and message, or a target that is not the image; empty if it counts."""

    @property
    def done(self) -> Mapping[str, Any]:
        """Fields of the last event `done`; empty if it never came."""
        return next((event for event in reversed(self.events) if event.get("event") == "done"), {})

    @property
    def began_s(self) -> float:
        """When it had its manifest and began to fetch, seconds since the race began: what its start-up took."""
        stages = [event for event in self.events if event.get("event") == "stage"]
        if not stages or "seconds" not in self.done:
            return self.finish.ended_s
        return self.last_event_s - float(self.done["seconds"]) + float(stages[0]["seconds"])

    @property
    def bad_chunks(self) -> int:
        """Deliveries that were not what their digest says (rejected before they could be written)."""
        return int(self.done.get("bad_chunks", 0))

    def bytes_by(self, source: str) -> int:
        """Stored bytes that came from sources whose name begins with `source`."""
        by_source = self.done.get("bytes_by_source", {})
        return sum(count for name, count in by_source.items() if name.startswith(source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What one room took."""

    clients: Mapping[str, ClientRun]
    server_cpu_s: float
    moved: Mapping[str, PathCounters]
    """What crossed each cable meanwhile."""

    @property
    def seconds(self) -> float:
        """From starting the clients until the last one has verified and written everything."""
        return max(run.finish.ended_s for run in self.clients.values())

    @property
    def last_began_s(self) -> float:
        """When the last client began to fetch; before that, processes start."""
        return max(run.began_s for run in self.clients.values())

    @property
    def clients_cpu_s(self) -> float:
        """CPU time of all clients together."""
        return sum(run.finish.cpu_s for run in self.clients.values())

    @property
    def complaints(self) -> str:
        """Why the transfer does not count; empty if it does."""
        return "; ".join(f"{run.host}: {run.complaint}" for run in self.clients.values() if run.complaint)


class Classroom:
    """An image in a repository, ready to be served in labs one after another. Everything lives in `folder`."""

    def __init__(
        self, folder: Path, source: Path, *, device: Path | None = None, chunk_bytes: int | None = None
    ) -> None:
        """Import `device`, a loop device over `source`, or `source` itself; in chunks of `chunk_bytes`, if given."""
        self.folder = folder
        self.source = source
        self.site = Site(folder)
        self.site.init()
        self.site.import_image(device or source, NAME, chunk_bytes=chunk_bytes)
        self._settings = (self.site.repository / "repod.toml").read_text()
        with (
            Repository.open(self.site.repository, read_only=True) as repository,
            repository.pin(ImageRef(NAME)) as pinned,
        ):
            manifest = pinned.manifest
            digests = [manifest.digest(chunk) for chunk in range(manifest.chunk_count)]
            self.extents = manifest.extents
            self.data_bytes = manifest.data_bytes
            self.frames = [repository.locate(digest).length for digest in digests]
            """Stored bytes of each chunk, as they travel."""

    @property
    def stored_bytes(self) -> int:
        """What travels: the image's bytes on the wire."""
        return sum(self.frames)

    @contextlib.contextmanager
    def open(
        self,
        rig: Rig,
        *,
        multicast: Mapping[str, object] | None = None,
        server: str = "server",
        advertise: str = "",
        change: Callable[[str], str] = str,
    ) -> Iterator[Lesson]:
        """`repod serve` in the host `server` while the block runs; `multicast` is the table of its settings, if any;
        `change` is given the text of its repod.toml and returns another."""
        table = "".join(f"{key} = {toml_value(value)}\n" for key, value in (multicast or {}).items())
        settings = f"{self._settings}\n[transports.multicast]\n{table}" if table else self._settings
        (self.site.repository / "repod.toml").write_text(change(settings))
        options = ["--interface", INTERFACE, *(["--advertise", advertise] if advertise else [])]
        address = rig.topology.address(server)
        with self.site.serve(
            host=address, options=options, place=lambda command: rig.command(server, command)
        ) as daemon:
            yield Lesson(room=self, rig=rig, daemon=daemon)


@dataclass(slots=True, kw_only=True)
class Lesson:
    """A served image in a lab: clients are started, timed and judged."""

    room: Classroom
    rig: Rig
    daemon: Daemon
    settings: Path | None = None
    """The client.toml that clients use, if not the repository's own (that of a relay)."""
    race: Race = field(default_factory=Race)
    _targets: dict[str, Path | None] = field(default_factory=dict)
    _on_start: Callable[[str, int], None] | None = None
    _modules: Mapping[str, str] = field(default_factory=dict)

    def fetch(
        self,
        hosts: Sequence[str],
        *,
        method: str = METHOD,
        keep: bool = True,
        timeout_s: float,
        targets: Mapping[str, Path] | None = None,
        plans: Sequence[tuple[float, Callable[[], object]]] = (),
        sample: Callable[[float], None] | None = None,
        on_start: Callable[[str, int], None] | None = None,
        modules: Mapping[str, str] | None = None,
    ) -> Transfer:
        """Start `ogcast restore` in all `hosts` at once and wait for the last.

        With `keep` the targets are files in memory, there beforehand as a partition is, and compared with the source
        afterwards; without, nothing is kept.
        `targets` names other targets for some hosts. `plans` happen at their times; a client started by one (see
        `start`) belongs to the transfer. `on_start` is told host and process id of each client.
        `modules` names what runs in place of `client` in some hosts.
        """
        self._on_start, self._modules = on_start, modules or {}
        before, cpu = self.rig.counters(), tree_cpu_s(self.daemon.pid)
        if keep:
            late = [host.name for host in self.rig.topology.hosts if plans and host.name.startswith("c")]
            self._lay_out([*hosts, *late], targets or {})
        with find_memory(len(hosts)):
            self.race, self._targets = Race(), {}
            for at_s, action in plans:
                self.race.at(at_s, action)
            try:
                for host in hosts:
                    self.start(host, method=method, keep=keep, target=(targets or {}).get(host))
                self.race.wait(timeout_s=timeout_s, sample=sample)
            finally:
                self.race.close()
        cpu = tree_cpu_s(self.daemon.pid) - cpu
        moved = {host: seen.since(before[host]) for host, seen in self.rig.counters().items()}
        runs = {host: self._judge(host, target) for host, target in self._targets.items()}
        return Transfer(clients=runs, server_cpu_s=cpu, moved=moved)

    def start(self, host: str, *, method: str = METHOD, keep: bool = True, target: Path | None = None) -> int:
        """Start one client (during `fetch`: from a plan); returns its process id."""
        place = target or (self._target(host) if keep else None)
        self._targets[host] = place
        words = self.room.site.ogcast(self.daemon, "restore", NAME, place or NOTHING, "--method", method)
        words[words.index("-m") + 1] = self._modules.get(host, "client")
        config = words.index("--config") + 1
        words[config] = str(self._config(host, self.settings or Path(words[config])))
        with self._events(host).open("wb") as out, self._messages(host).open("wb") as err:
            process = self.rig.start(host, words, cwd=ROOT, stdout=out, stderr=err)
        self.race.add(host, process)
        if self._on_start is not None:
            self._on_start(host, process.pid)
        return process.pid

    def kill(self, host: str) -> None:
        """SIGKILL for the client in `host` (during `fetch`: from a plan). OgcastError if it does not run."""
        self.race.kill(host)

    def _target(self, host: str) -> Path:
        return self.room.folder / f"target-{host}.img"

    def _lay_out(self, hosts: Sequence[str], others: Mapping[str, Path]) -> None:
        """Targets full of something else. On a small machine, memory nobody used before costs more than the rest."""
        for host in dict.fromkeys(hosts):
            if host not in others:
                stain(self._target(host), self.room.source.stat().st_size)

    def _config(self, host: str, common: Path) -> Path:
        """The repository's client.toml with a state folder for this host alone."""
        path = self.room.folder / f"client-{host}.toml"
        state = self.room.folder / f"state-{host}"
        shutil.rmtree(state, ignore_errors=True)  # an earlier transfer must not be resumed
        lines = [line for line in common.read_text().splitlines() if not line.startswith("state_dir")]
        path.write_text("\n".join([*lines, f"state_dir = {toml_value(str(state))}"]) + "\n")
        path.chmod(0o600)
        return path

    def _events(self, host: str) -> Path:
        return self.room.folder / f"events-{host}.json"

    def _messages(self, host: str) -> Path:
        return self.room.folder / f"messages-{host}.txt"

    def _judge(self, host: str, target: Path | None) -> ClientRun:
        finish = self.race.finished.get(host)
        if finish is None:
            raise OgcastError(f"the client in {host} was never waited for")
        events = []
        for line in self._events(host).read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # a killed client may stop within a line
                events.append(msgspec.json.decode(line, type=dict[str, Any]))
        complaint = ""
        if finish.code:
            said = self._messages(host).read_text(errors="replace")[-STDERR_TAIL_BYTES:].strip()
            complaint = f"ended with {finish.code}: {said}"
        elif target is not None:
            complaint = difference(self.room.source, target, self.room.extents)
        if target is not None and target.is_file():
            target.unlink()
        told_s = self._events(host).stat().st_mtime - self.race.began_at
        return ClientRun(host=host, finish=finish, events=events, last_event_s=told_s, complaint=complaint)
