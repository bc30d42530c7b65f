"""What does a client pay that joins when half of the image has been sent, and what do the others?"""

from __future__ import annotations

from functools import partial

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
JOINER_GOAL, OTHERS_GOAL = 1.10, 1.02


def run(options: Options) -> Outcome:
    """Seven clients with nobody joining, then seven and an eighth at half of the image's time, in turn."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    early, joiner = hosts[:-1], hosts[-1]
    alone: list[Transfer] = []
    joined: list[Transfer] = []
    rows: list[Row] = []
    with scratch(options.folder) as folder:
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source)
        with Rig(room(CLIENTS, rate_bits_per_s=RATE)) as rig:
            with classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
                for number in range(options.runs):
                    options.say(f"run {number + 1} of {options.runs}: seven")
                    alone.append(lesson.fetch(early, timeout_s=patience_s(limit_s)))
                    options.say(f"run {number + 1} of {options.runs}: seven and one that joins at half")
                    plans = [(limit_s / 2, partial(lesson.start, joiner))]
                    joined.append(lesson.fetch(early, timeout_s=patience_s(limit_s), plans=plans))
            without = summarise([one.seconds for one in alone]).median
            others = summarise([_last(one, early) for one in joined]).median
            own = summarise([one.clients[joiner].finish.seconds for one in joined]).median
            sent = summarise([one.moved["server"].from_bytes / options.size for one in joined]).median
            note = complaints([*alone, *joined])
            rows += [
                Row(
                    label="seven, nobody joins", figures={"s": without, "limit s": limit_s, "ratio": without / limit_s}
                ),
                Row(
                    label="the joiner, from its own start",
                    figures={
                        "s": own,
                        "limit s": limit_s,
                        "ratio": own / limit_s,
                        **at_most(own / limit_s, JOINER_GOAL, counts=not note),
                    },
                    note=note,
                ),
                Row(
                    label="the seven, while one joins",
                    figures={
                        "s": others,
                        "limit s": without,
                        "ratio": others / without,
                        **at_most(others / without, OTHERS_GOAL, counts=not note),
                        "wire / image bytes": sent,
                    },
                ),
            ]
            if udpcast_installed():
                options.say("udpcast")
                late = {joiner: limit_s / 2}
                timeout_s = 20 + 3 * limit_s
                peer = run_udpcast(rig, source, hosts, folder=folder, late=late, timeout_s=timeout_s)
                said = "has the image" if peer.complete else f"never gets it (given up after {timeout_s:.0f} s)"
                rows.append(Row(label="udpcast: the joiner", note=said))
            else:
                rows.append(Row(label="udpcast", note=NOT_INSTALLED))
    material = f"{options.size // MIB} MiB that do not compress, 7 + 1 clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=[*alone, *joined])


def _last(transfer: Transfer, hosts: list[str]) -> float:
    return max(transfer.clients[host].finish.ended_s for host in hosts)


SCENARIO = Scenario(
    name="multicast-late",
    question="What does a client pay that joins when half of the image has been sent, and what do the others?",
    run=run,
    size=256 * MIB,
    runs=3,
    goal="the joiner at most 1.10 times what the wire needs, the others 2 % more than without it; udpcast cannot",
    missing=shell.missing,
)
