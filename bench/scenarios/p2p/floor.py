"""What does the rig itself take to move the bytes of a swarm, when nobody thinks about them?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from bench.lab import shell
from bench.lab.memory import find_memory
from bench.lab.race import Race
from bench.lab.rig import Rig
from bench.lab.swarming import with_offload
from bench.lab.topology import room
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
PORT = 9999
SERVER = "server"
ROOMS = ((8, 1e9, 1024 * MIB), (16, 100e6, 256 * MIB))
"""Clients, bits per second of every link, bytes of the image: those of p2p-gigabit, and of p2p-scale's largest."""

Flows = Mapping[tuple[str, str], int]
"""Bytes from one host to another."""


def run(options: Options) -> Outcome:
    """Each room twice: its bytes in a chain, one receiver for each sender, and in a mesh, everybody to everybody.

    The seconds include the start of a Python program in every host, which a room of clients has as well.
    """
    rows, good = [], True
    for clients, rate, most in ROOMS:
        size = min(most, options.size)
        if options.clients not in (None, clients):
            continue
        hosts = [f"c{number + 1}" for number in range(clients)]
        limit_s = seconds_on_wire(size, rate)
        with Rig(with_offload(room(clients, rate_bits_per_s=rate))) as rig:
            for name, flows in (("one to one", _chain(hosts, size)), ("everybody to everybody", _mesh(hosts, size))):
                options.say(f"{clients} clients at {rate / 1e6:.0f} Mbit/s, {name}")
                found = [_move(rig, [SERVER, *hosts], flows, patience_s(limit_s)) for _ in range(options.runs)]
                whole = all(each for _, _, each in found)
                good = good and whole
                seconds = summarise([seconds for seconds, _, _ in found]).median
                label = f"{clients} clients, {size // MIB} MiB, {rate / 1e6:.0f} Mbit/s: {name}"
                cpu_s = summarise([cpu for _, cpu, _ in found]).median
                figures = {"s": seconds, "limit s": limit_s, "ratio": seconds / limit_s, "CPU s": cpu_s}
                rows.append(Row(label=label, figures=figures, note="" if whole else "not everything arrived"))
    return Outcome(rows=rows, material="bytes from memory by sendfile, taken into memory, looked at by nobody", ok=good)


def _chain(hosts: list[str], size: int) -> Flows:
    """The server to the first, each to the next: every wire once, in the same moment."""
    return dict.fromkeys(zip([SERVER, *hosts[:-1]], hosts, strict=True), size)


def _mesh(hosts: list[str], size: int) -> Flows:
    """The server a part to each, each the same to all others: what a swarm moves that loses nothing."""
    part = size // len(hosts)
    flows = {(SERVER, host): part for host in hosts}
    return flows | {(one, other): part for one in hosts for other in hosts if one != other}


def _move(rig: Rig, hosts: list[str], flows: Flows, timeout_s: float) -> tuple[float, float, bool]:
    """Seconds until the last has everything, CPU seconds of all, whether all was taken."""
    with find_memory(len(hosts)):
        race = Race()
        address: Callable[[str], str] = rig.topology.address
        try:
            for host in hosts:
                taken = sum(count for (_, receiver), count in flows.items() if receiver == host)
                given = [(address(to), str(count)) for (sender, to), count in flows.items() if sender == host]
                words = [
                    sys.executable,
                    "-m",
                    "bench.lab.stream",
                    str(PORT),
                    str(taken),
                    *(w for pair in given for w in pair),
                ]
                race.add(host, rig.start(host, words, cwd=ROOT))
            finished = race.wait(timeout_s=timeout_s)
        finally:
            race.close()
    whole = all(one.code == 0 for one in finished.values())
    return max(one.ended_s for one in finished.values()), sum(one.cpu_s for one in finished.values()), whole


SCENARIO = Scenario(
    name="p2p-floor",
    question="What does this machine take to move the bytes of a swarm, when nobody thinks about them?",
    run=run,
    size=1024 * MIB,
    runs=1,
    goal="none: p2p-gigabit and p2p-scale cannot be faster than this, wherever they run",
    missing=shell.missing,
)
