"""Multicast does not get through: how long until data flows by another way?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.flow import FlowMeter
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
RATE = 200e6
GOAL_S = 3.0
DATA_BYTES = 256 * 1024
"""What a client must have received to be fetching: more than certificate, manifest and probes."""


def run(options: Options) -> Outcome:
    """Groups are dropped at the port of one client, then of all; time from its start to data at its interface."""
    limit_s = seconds_on_wire(options.size, RATE)
    rows: list[Row] = []
    transfers: list[Transfer] = []
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        for label, hosts, blocked in (
            ("one of two blocked", ["c1", "c2"], ["c1"]),
            ("the only one blocked", ["c1"], ["c1"]),
        ):
            firsts: list[float] = []
            ours: list[Transfer] = []
            for number in range(options.runs):
                options.say(f"{label}, run {number + 1} of {options.runs}")
                with (
                    Rig(room(len(hosts), rate_bits_per_s=RATE)) as rig,
                    classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
                ):
                    for host in blocked:
                        rig.block_multicast(host)
                    meter = FlowMeter(rig)
                    timeout_s = patience_s(limit_s)
                    ours.append(lesson.fetch(hosts, timeout_s=timeout_s, sample=meter.sample, on_start=meter.add))
                    first = [meter.first_s(host, DATA_BYTES) for host in blocked]
                    firsts.append(max(timeout_s if one is None else one for one in first))
            transfers += ours
            slowest = summarise(firsts).high
            reasons = {reason for one in ours for host in blocked for reason in _reasons(one, host)}
            rows.append(
                Row(
                    label=label,
                    figures={
                        "first data by fallback, s": slowest,
                        **at_most(slowest, GOAL_S, unit=" s", counts=not complaints(ours)),
                        "s": summarise([one.seconds for one in ours]).median,
                        "limit s": limit_s,
                        "its MiB by unicast": ours[-1].clients[blocked[0]].bytes_by("repository") / MIB,
                    },
                    note="; ".join(filter(None, [complaints(ours), *sorted(reasons)])),
                )
            )
    material = f"{options.size // MIB} MiB that do not compress at {RATE / 1e6:.0f} Mbit/s; udpcast waits, then fails"
    return outcome(rows, material=material, transfers=transfers)


def _reasons(transfer: Transfer, host: str) -> list[str]:
    """What the client said about why it left multicast."""
    events = transfer.clients[host].events
    return [
        str(event.get("message"))
        for event in events
        if event.get("event") in ("transport", "transport-given-up", "warning", "notice") and event.get("message")
    ]


SCENARIO = Scenario(
    name="multicast-blocked",
    question="Multicast is blocked: how long until data flows by fallback, and does the client say why?",
    run=run,
    size=64 * MIB,
    runs=3,
    goal="within 3 s of starting the client",
    missing=shell.missing,
)
