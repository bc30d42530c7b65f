"""How many stored bytes per second does one server give to 1 and to 8 clients, and at what cost, against Samba?"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.goals import gain_row, reached_of
from bench.loops import loop_device
from bench.material import make_material
from bench.measure import tree_cpu_s
from bench.receiver import DONE, GO, READY
from bench.samba import samba_installed, samba_server
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT, Daemon, Site
from bench.stats import summarise
from core.errors import OgcastError
from core.ids import ImageRef
from images.exporters import export_zst
from images.repository import Repository

__all__ = ["SCENARIO"]

MIB = 1 << 20
NAME = "bench"
FILE = "image.zst"
CLIENTS = (1, 8)
CLIENT_TIMEOUT_S = 900
GOAL, GOAL_CLIENTS = 1.0, max(CLIENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One run of several clients at once."""

    seconds: float
    server_cpu_s: float


def run(options: Options) -> Outcome:
    """The same stored bytes through both servers: once thrown away, once decoded and checked by the receiver.

    Our receivers start before the clock does (the scenario `start` has that figure); smbclient starts in no time.
    """
    options.say("making the material")
    material = make_material(options.folder, fs="ext4", used_bytes=options.size)
    site = Site(options.folder)
    site.init()
    with loop_device(material.first, read_only=True) as source:
        site.import_image(source, NAME)
    share = options.folder / "share"
    share.mkdir()
    with Repository.open(site.repository, read_only=True) as repository, repository.pin(ImageRef(NAME)) as pinned:
        manifest = pinned.manifest
        stored = sum(repository.locate(manifest.digest(chunk)).length for chunk in range(manifest.chunk_count))
        export_zst(manifest, repository, str(share / FILE))
    rows: list[Row] = []
    rates: dict[tuple[str, int], float] = {}
    costs: dict[tuple[str, int], float] = {}

    def measure(label: str, pid: int, command: Sequence[str], clients: int) -> None:
        options.say(f"{label}, {clients} clients")
        sendings = [_all_at_once([command] * clients, pid) for _ in range(options.runs + 1)][1:]  # warm-up first
        seconds = summarise([one.seconds for one in sendings])
        sent = stored * clients
        rates[label, clients] = sent / seconds.median / 1e6
        costs[label, clients] = summarise([one.server_cpu_s for one in sendings]).median / (sent / 1e9)
        rows.append(
            Row(
                label=f"{label}, {clients} client{'s' if clients > 1 else ''}",
                figures={
                    "s": seconds.median,
                    "lowest s": seconds.low,
                    "highest s": seconds.high,
                    "stored MB/s": rates[label, clients],
                    "server CPU s per GB": costs[label, clients],
                },
            )
        )

    with site.serve() as daemon:
        for mode in ("receive", "verify"):
            for clients in CLIENTS:
                measure(f"repod, {mode}", daemon.pid, _receiver(site, daemon, mode), clients)
    summary: dict[str, float | str] = {}
    if samba_installed():
        with samba_server(options.folder / "samba", share) as samba:
            to_stdout = " ".join(f"'{word}'" for word in samba.get(FILE, target="-"))
            commands = {
                "receive": samba.get(FILE),
                "verify": ["sh", "-c", f"{to_stdout} | zstd -q -t"],
            }
            for mode, command in commands.items():
                for clients in CLIENTS:
                    measure(f"samba, {mode}", samba.pid, command, clients)
        for mode in commands:
            for clients in CLIENTS:
                ours, theirs = (f"repod, {mode}", clients), (f"samba, {mode}", clients)
                gains = {
                    f"{mode}, {clients} clients: rate over Samba's": rates[ours] / rates[theirs],
                    f"{mode}, {clients} clients: Samba's server CPU over ours": costs[theirs] / costs[ours],
                }
                if clients == GOAL_CLIENTS:
                    rows += [gain_row(label, gain, GOAL) for label, gain in gains.items()]
                else:
                    summary |= gains
        summary |= reached_of(row.figures for row in rows)
    else:
        rows.append(Row(label="samba", note="not installed (smbd, smbclient), or not root"))
    return Outcome(rows=rows, material=f"{material.description}; {stored / MIB:.0f} MiB stored", summary=summary)


def _receiver(site: Site, daemon: Daemon, mode: str) -> list[str]:
    return [sys.executable, "-m", "bench.receiver", str(site.repository / "client.toml"), daemon.url, NAME, mode]


def _all_at_once(commands: Sequence[Sequence[str]], server: int) -> Sending:
    """Start every client, let them all begin at once, wait for the last; the server's CPU is read before and after."""
    waits = "bench.receiver" in commands[0]
    before = tree_cpu_s(server)
    began = time.perf_counter()
    clients = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
            stdout=subprocess.PIPE if waits else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for command in commands
    ]
    try:
        if waits:
            for client in clients:
                if client.stdout is None or client.stdout.readline().strip() != READY:
                    raise OgcastError("a receiver did not become ready")
            before = tree_cpu_s(server)
            began = time.perf_counter()
            for client in clients:
                if client.stdin is not None:
                    client.stdin.write(GO)
                    client.stdin.flush()
            for client in clients:
                if client.stdout is None or client.stdout.readline().strip() != DONE:
                    raise OgcastError("a receiver did not get everything")
            seconds = time.perf_counter() - began
        codes = [client.wait(CLIENT_TIMEOUT_S) for client in clients]
        if not waits:
            seconds = time.perf_counter() - began
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()
            for stream in (client.stdin, client.stdout):
                if stream is not None:
                    stream.close()
    if any(codes):
        raise OgcastError(f"a client ended with {max(codes)}")
    return Sending(seconds=seconds, server_cpu_s=tree_cpu_s(server) - before)


SCENARIO = Scenario(
    name="serve",
    question="How many stored bytes per second do 1 and 8 clients get from one server, and at what CPU, against Samba?",
    run=run,
    size=1024 * MIB,
    goal="at 8 clients at least Samba's rate in stored bytes per second, with less server CPU per GB",
)
