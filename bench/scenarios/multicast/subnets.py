"""Two subnets: by multicast that a router forwards, and by a relay where none does."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.filesystems import find_program
from bench.lab import shell
from bench.lab.classroom import NAME, Classroom, Lesson, Transfer, random_image
from bench.lab.race import end
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import INTERFACE, Host, Link, Topology
from bench.lab.verdict import outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT, Daemon
from core.errors import OgcastError

__all__ = ["SCENARIO"]

MIB = 1 << 20
IN_EACH = 4
RATE = 200e6
TTL = 4
RELAY = "relay"
RELAY_PORT = 8717


def run(options: Options) -> Outcome:
    """The server is in the first subnet. Routed: four clients in each. Relay: four and the relay in the second."""
    limit_s = seconds_on_wire(options.size, RATE)
    rows: list[Row] = []
    transfers: list[Transfer] = []
    near = [f"c{number + 1}" for number in range(IN_EACH)]
    far = [f"c{number + 1}" for number in range(IN_EACH, 2 * IN_EACH)]
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        if find_program("smcrouted"):
            options.say("routed multicast")
            with (
                Rig(_topology(near, far, routed=True)) as rig,
                classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6, "ttl": TTL}) as lesson,
            ):
                one = lesson.fetch([*near, *far], timeout_s=patience_s(limit_s))
            transfers.append(one)
            more = {"MiB by unicast": _by_unicast(one) / MIB}
            rows.append(
                transfer_row(
                    "two subnets, routed multicast", [one], image_bytes=options.size, limit_s=limit_s, more=more
                )
            )
        else:
            rows.append(Row(label="routed multicast", note="not installed (apt install smcroute)"))
        options.say("relay")
        with (
            Rig(_topology([], [RELAY, *far], routed=False)) as rig,
            classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
        ):
            began = time.perf_counter()
            before = rig.counters()
            with _relay(rig, lesson, folder / "relay") as relayed:
                ready_s = time.perf_counter() - began
                one = relayed.fetch(far, timeout_s=patience_s(limit_s))
            crossed = rig.counters()["server"].since(before["server"]).from_bytes
        transfers.append(one)
        row = transfer_row("the far subnet, from its relay", [one], image_bytes=options.size, limit_s=limit_s)
        sent = one.moved[RELAY].from_bytes / options.size
        figures = {**row.figures, "wire / image bytes": sent, "MiB by unicast": _by_unicast(one) / MIB}
        rows.append(Row(label=row.label, figures=figures, note=row.note))
        note = f"the repository sent {crossed / options.size:.2f} images in all, for {IN_EACH} clients"
        figures = {"s": ready_s, "limit s": limit_s, "ratio": ready_s / limit_s}
        rows.append(Row(label="the relay, until it serves", figures=figures, note=note))
    material = f"{options.size // MIB} MiB that do not compress at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=transfers)


def _topology(near: list[str], far: list[str], *, routed: bool) -> Topology:
    link = Link(rate_bits_per_s=RATE)
    hosts = [Host(name="server", link=link), *(Host(name=name, link=link) for name in near)]
    hosts += [Host(name=name, subnet=1, link=link) for name in far]
    return Topology(hosts=tuple(hosts), subnets=2, multicast_routing=routed)


def _by_unicast(transfer: Transfer) -> int:
    return sum(run.bytes_by("repository") for run in transfer.clients.values())


@contextlib.contextmanager
def _relay(rig: Rig, lesson: Lesson, store: Path) -> Iterator[Lesson]:
    """`ogcast relay` in its host; a lesson whose clients ask it."""
    words = lesson.room.site.ogcast(lesson.daemon, "--interface", INTERFACE, "relay", NAME, "--store", store)
    process = rig.start(
        RELAY, [*words, "--port", str(RELAY_PORT)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        try:
            _wait_until_it_serves(process)
            address = rig.topology.address(RELAY)
            daemon = Daemon(url=f"https://{address}:{RELAY_PORT}", pid=process.pid)
            yield Lesson(room=lesson.room, rig=rig, daemon=daemon, settings=store / "client.toml")
        finally:
            end(process)


def _wait_until_it_serves(process: subprocess.Popen[bytes]) -> None:
    """Read events until the relay says that it serves; what it says afterwards is small and stays in the pipe.

    OgcastError with its last words if it ends before.
    """
    said: object = "nothing"
    assert process.stdout is not None
    for line in process.stdout:
        event = msgspec.json.decode(line, type=dict[str, object])
        if event.get("event") == "relay":
            return
        said = event.get("message", said)
    raise OgcastError(f"the relay ended before it served; it said last: {said}")


SCENARIO = Scenario(
    name="multicast-subnets",
    question="Two subnets: what does a room take by routed multicast, and by a relay where groups are not routed?",
    run=run,
    size=128 * MIB,
    runs=1,
    goal="every client has the image; the repository sends it once",
    missing=shell.missing,
)
