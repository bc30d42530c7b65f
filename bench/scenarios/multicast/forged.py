"""A stranger sends forged data and reports at a tenth of the rate: is anything wrong written, and what does it cost?"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from bench.goals import at_least, at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.race import end
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import INTERFACE, room
from bench.lab.verdict import NOT_INSTALLED, complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
LINK = 250e6
RATE = 200e6
"""What the cast may send: less than the links, since what a stranger puts on a full link displaces data there,
whatever a protocol does."""
LOSS = 0.01
"""Holes in which a forgery may come to lie."""
SHARE = 0.10
GOAL = 0.95
STRANGER = "stranger"
FRAME_BITS = 1514 * 8


def run(options: Options) -> Outcome:
    """In turn without and with the stranger; then udpcast with the same stranger, its files compared too."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    rows: list[Row] = []
    alone: list[Transfer] = []
    attacked: list[Transfer] = []
    forgeries: dict[str, int] = {}
    with scratch(options.folder) as folder:
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source)
        settings = {"rate_mbit_per_s": RATE / 1e6}
        topology = room(CLIENTS, rate_bits_per_s=LINK, loss=LOSS, others=(STRANGER,))
        with Rig(topology) as rig:
            with classroom.open(rig, multicast=settings) as lesson:
                for number in range(options.runs):
                    options.say(f"run {number + 1} of {options.runs}: alone")
                    alone.append(lesson.fetch(hosts, timeout_s=patience_s(limit_s)))
                    options.say(f"run {number + 1} of {options.runs}: with a stranger")
                    with _stranger(rig, forgeries):
                        attacked.append(lesson.fetch(hosts, timeout_s=patience_s(limit_s)))
            options.say("with a stranger and without authenticator")
            with classroom.open(rig, multicast={**settings, "authenticator": "off"}) as lesson, _stranger(rig, {}):
                bare = lesson.fetch(hosts, timeout_s=patience_s(limit_s))
            if udpcast_installed():
                options.say("udpcast with the stranger")
                with _stranger(rig, {}):
                    peer = run_udpcast(rig, source, hosts, folder=folder, timeout_s=patience_s(limit_s))
                complaint = "" if peer.complete else "; not every receiver ended well"
                rows.append(
                    Row(
                        label="udpcast: with a stranger",
                        figures={"s": peer.seconds, "clients": float(len(peer.wrong))},
                        note=(
                            f"wrote what the stranger sent on {len(peer.wrong)} of {CLIENTS}, and noticed nothing"
                            if peer.wrong
                            else "got through unharmed in this run"
                        )
                        + complaint,
                    )
                )
            else:
                rows.append(Row(label="udpcast", note=NOT_INSTALLED))
    without = summarise([one.seconds for one in alone]).median
    within = summarise([one.seconds for one in attacked]).median
    bad = sum(run.bad_chunks for one in attacked for run in one.clients.values())
    wrong = sum(bool(run.complaint) for one in attacked for run in one.clients.values())
    sent = ", ".join(f"{count} {kind}" for kind, count in forgeries.items())
    rows[:0] = [
        Row(label="ogcast: alone", figures={"s": without, "limit s": limit_s}),
        Row(
            label="ogcast: with a stranger, speed",
            figures={
                "s": within,
                "limit s": without,
                "ratio": without / within,
                **at_least(without / within, GOAL, counts=not complaints([*alone, *attacked])),
            },
            note="; ".join(filter(None, [f"sent: {sent}", complaints([*alone, *attacked])])),
        ),
        Row(label="ogcast: clients with a wrong image", figures={"clients": float(wrong), **at_most(wrong, 0)}),
        Row(label="ogcast: chunks that failed their digest", figures={"chunks": float(bad), **at_most(bad, 0)}),
        Row(
            label="ogcast: the same with the authenticator off",
            figures={
                "s": bare.seconds,
                "limit s": without,
                "ratio": without / bare.seconds,
                "clients": float(sum(bool(run.complaint) for run in bare.clients.values())),
                "chunks": float(sum(run.bad_chunks for run in bare.clients.values())),
            },
            note="; ".join(filter(None, ["the digest alone keeps forgeries out", complaints([bare])])),
        ),
    ]
    material = (
        f"{options.size // MIB} MiB that do not compress, {CLIENTS} clients, cast at {RATE / 1e6:.0f} of "
        f"{LINK / 1e6:.0f} Mbit/s, loss {LOSS:.0%}, forgeries {SHARE * RATE / 1e6:.0f} Mbit/s"
    )
    return outcome(rows, material=material, transfers=[*alone, *attacked, bare])


@contextlib.contextmanager
def _stranger(rig: Rig, sent: dict[str, int]) -> Iterator[None]:
    """The injector runs in its host while the block does; what it sent is added to `sent`."""
    per_s = SHARE * RATE / FRAME_BITS
    words = (sys.executable, "-m", "bench.lab.injector", INTERFACE, f"{per_s:.0f}")
    process = rig.start(STRANGER, words, cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        try:
            if process.stdout is not None:
                process.stdout.readline()  # ready
            yield
        finally:
            end(process)
            said = process.stdout.read() if process.stdout is not None else b""
            with contextlib.suppress(ValueError):
                for kind, count in json.loads(said).items():
                    sent[kind] = sent.get(kind, 0) + count


SCENARIO = Scenario(
    name="multicast-forged",
    question="A stranger sends forged data and reports at a tenth of the rate: is anything wrong written?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="no bad chunk and at least 95 % of the speed; udpcast writes the forgery",
    missing=shell.missing,
)
