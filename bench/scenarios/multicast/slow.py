"""What does one slow client cost the others: a quarter of the link's rate, or a disk that is as slow?"""

from __future__ import annotations

from pathlib import Path

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.slow_disk import slow_disk, why_not
from bench.lab.topology import Link, Topology, room
from bench.lab.verdict import NOT_INSTALLED, complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
SHARE = 0.25
GOAL = 1.03


def run(options: Options) -> Outcome:
    """Three rooms in turn: all alike, one with a slow link, one with a slow disk; the figure is the other seven's."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    alike = room(CLIENTS, rate_bits_per_s=RATE)
    uneven = alike.with_link(hosts[-1], Link(rate_bits_per_s=RATE * SHARE))
    found: dict[str, list[Transfer]] = {
        "all alike": [],
        "one at a quarter of the rate": [],
        "one with a slow disk": [],
    }
    rows: list[Row] = []
    with scratch(options.folder) as folder:
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source)
        timeout_s = patience_s(limit_s)
        for number in range(options.runs):
            for case, transfers in found.items():
                options.say(f"run {number + 1} of {options.runs}: {case}")
                topology = uneven if "quarter" in case else alike
                if "disk" not in case:
                    transfers.append(_fetch(classroom, topology, hosts, timeout_s))
                elif not why_not():
                    transfers.append(_fetch_to_slow_disk(classroom, topology, hosts, timeout_s, options.size, folder))
        without = summarise([_last(one, hosts[:-1]) for one in found["all alike"]]).median
        for case, transfers in found.items():
            if not transfers:
                rows.append(Row(label=case, note=why_not()))
                continue
            others = summarise([_last(one, hosts[:-1]) for one in transfers]).median
            own = summarise([one.clients[hosts[-1]].finish.seconds for one in transfers]).median
            goal = at_most(others / without, GOAL, counts=not complaints(transfers)) if case != "all alike" else {}
            rows.append(
                Row(
                    label=case,
                    figures={
                        "s of the other seven": others,
                        "limit s": without,
                        "ratio": others / without,
                        **goal,
                        "s of the slow one": own,
                        "its MiB by unicast": sum(one.clients[hosts[-1]].bytes_by("repository") for one in transfers)
                        / len(transfers)
                        / MIB,
                    },
                    note=complaints(transfers),
                )
            )
        if udpcast_installed():
            options.say("udpcast with one at a quarter of the rate")
            with Rig(uneven) as rig:
                peer = run_udpcast(rig, source, hosts, folder=folder, timeout_s=patience_s(limit_s))
            seconds = max((peer.each_s.get(host, 0.0) for host in hosts[:-1]), default=0.0)
            rows.append(
                Row(
                    label="udpcast: one at a quarter of the rate",
                    figures={"s of the other seven": seconds, "s of the slow one": peer.each_s.get(hosts[-1])},
                    note="" if peer.complete else "NOT complete",
                )
            )
        else:
            rows.append(Row(label="udpcast", note=NOT_INSTALLED))
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=[one for transfers in found.values() for one in transfers])


def _fetch(classroom: Classroom, topology: Topology, hosts: list[str], timeout_s: float) -> Transfer:
    with Rig(topology) as rig, classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
        return lesson.fetch(hosts, timeout_s=timeout_s)


def _fetch_to_slow_disk(
    classroom: Classroom, topology: Topology, hosts: list[str], timeout_s: float, size: int, folder: Path
) -> Transfer:
    def started(host: str, pid: int) -> None:
        if host == hosts[-1]:
            disk.hold_back(pid)

    rate = int(RATE * SHARE / 8)
    with (
        slow_disk(folder / "slow-disk.img", size=size, write_bytes_per_s=rate) as disk,
        Rig(topology) as rig,
        classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
    ):
        return lesson.fetch(hosts, targets={hosts[-1]: disk.device}, timeout_s=timeout_s, on_start=started)


def _last(transfer: Transfer, hosts: list[str]) -> float:
    return max(transfer.clients[host].finish.ended_s for host in hosts)


SCENARIO = Scenario(
    name="multicast-slow",
    question="What does one client at a quarter of the rate, or with a disk as slow, cost the other seven?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="at most 3 % more time for the others; udpcast sends to all at its speed",
    missing=shell.missing,
)
