"""How long do the others stand still when one client is killed, or its cable is pulled, in the middle?"""

from __future__ import annotations

import os
import signal
from functools import partial

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Lesson, Transfer, random_image
from bench.lab.flow import FlowMeter
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
GOAL_S = 0.2
AT = 0.5
"""When it happens, as part of the time that the wire needs."""
PATIENCE_UDPCAST_S = 60.0
"""udpcast's own patience with a dead receiver is minutes; it is given up on after this long."""
VICTIM = f"c{CLIENTS}"
WATCH_S = 3.0
"""Span after the event in which our clients must not stand still; the transfer goes on beyond it."""


def run(options: Options) -> Outcome:
    """The stall of a client is the longest time in which nothing arrives at its interface (samples, 20 ms apart)."""
    limit_s = seconds_on_wire(options.size, RATE)
    event_s = AT * limit_s
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    rows: list[Row] = []
    transfers: list[Transfer] = []
    with scratch(options.folder) as folder:
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source)
        for what in ("killed (SIGKILL)", "unplugged"):
            stalls: list[float] = []
            seconds: list[float] = []
            for number in range(options.runs):
                options.say(f"one {what}, run {number + 1} of {options.runs}")
                with (
                    Rig(room(CLIENTS, rate_bits_per_s=RATE)) as rig,
                    classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
                ):
                    meter = FlowMeter(rig)
                    plans = [(event_s, partial(_strike, rig, lesson, unplug=what == "unplugged"))]
                    one = lesson.fetch(
                        hosts,
                        plans=plans,
                        sample=meter.sample,
                        on_start=meter.add,
                        timeout_s=patience_s(limit_s),
                    )
                survivors = {host: run for host, run in one.clients.items() if host != VICTIM}
                transfers.append(Transfer(clients=survivors, server_cpu_s=one.server_cpu_s, moved=one.moved))
                stalls.append(_stall_s(meter, hosts[:-1], event_s, event_s + WATCH_S))
                seconds.append(transfers[-1].seconds)
            said = complaints(transfers[-options.runs :])
            rows.append(
                Row(
                    label=f"ogcast: one {what}",
                    figures={
                        "longest stall of the others, s": max(stalls),
                        **at_most(max(stalls), GOAL_S, unit=" s", counts=not said),
                        "s of the others": max(seconds),
                        "limit s": limit_s,
                    },
                    note=said,
                )
            )
        if udpcast_installed():
            options.say("udpcast: one killed")
            with Rig(room(CLIENTS, rate_bits_per_s=RATE)) as rig:
                meter = FlowMeter(rig)
                timeout_s = event_s + PATIENCE_UDPCAST_S
                peer = run_udpcast(
                    rig,
                    source,
                    hosts,
                    folder=folder,
                    plans=[(event_s, lambda pids: os.kill(pids[VICTIM], signal.SIGKILL))],
                    sample=meter.sample,
                    on_start=meter.add,
                    timeout_s=timeout_s,
                )
            rows.append(
                Row(
                    label="udpcast: one killed (SIGKILL)",
                    figures={
                        "longest stall of the others, s": _stall_s(meter, hosts[:-1], event_s, timeout_s),
                        "s of the others": peer.seconds,
                        "limit s": limit_s,
                    },
                    note=f"given up on {PATIENCE_UDPCAST_S:.0f} s after the event" if peer.seconds > timeout_s else "",
                )
            )
        else:
            rows.append(Row(label="udpcast", note=NOT_INSTALLED))
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=transfers)


def _strike(rig: Rig, lesson: Lesson, *, unplug: bool) -> None:
    """What happens to the victim: its client is killed, and with `unplug` its cable is pulled before."""
    if unplug:
        rig.set_cable(VICTIM, up=False)
    lesson.kill(VICTIM)


def _stall_s(meter: FlowMeter, hosts: list[str], after_s: float, until_s: float) -> float:
    return max(meter.longest_gap_s(host, after_s=after_s, until_s=until_s) for host in hosts)


SCENARIO = Scenario(
    name="multicast-killed",
    question="How long do the others stand still when one client is killed or unplugged in the middle?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="no stall above 0.2 s; udpcast: minutes",
    missing=shell.missing,
)
