"""Rooms made by chance: links, methods, times of starting and what goes wrong, all drawn from a seed.

Whatever happens, every client ends with every byte, in a time that is named. `make soak SECONDS=600` runs room after
room, with another seed each time; SOAK_SEED repeats one.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.topology import Link, Topology, room
from tests.support.rooms import Client, Repod, Room, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

SOAK_S = float(os.environ.get("SOAK_SECONDS", "0"))
SEED = int(os.environ.get("SOAK_SEED", "3"))
MIB = 1 << 20
RATE = 200e6
WAYS = ("MULTICAST", "MULTICAST", "TORRENT", "UNICAST", "AUTO")
PLACES = ("DIRECT", "DIRECT", "CACHE")
TROUBLES = ("kill", "kill", "stop", "cut", "noise", "block", "unblock", "part", "restart", "crash")
LASTING = ("stop", "cut", "noise", "part")
NOISE = 0.3
"""Of a host's packets are lost while there is noise."""
ROOM_S = 150.0
"""No room takes longer: the slowest link needs 8 s, and nobody waits for a minute for anything."""
AGAIN_S = 0.5
TICK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong, at which second, with whom, and for how long."""

    at_s: float
    kind: str
    host: str
    for_s: float


@dataclass(kw_only=True)
class Plan:
    """A room and its troubles, all from one seed."""

    seed: int
    topology: Topology = field(repr=False)
    subnets: int
    links: dict[str, Link]
    methods: dict[str, str]
    starts: dict[str, float]
    blocked: list[str]
    image_bytes: int
    troubles: list[Trouble]


def _trouble(rng: random.Random, names: list[str]) -> Trouble:
    at_s, kind, host = rng.uniform(0.2, 5), rng.choice(TROUBLES), rng.choice(names)
    return Trouble(at_s=at_s, kind=kind, host=host, for_s=rng.uniform(0.2, 3))


def _plan(seed: int) -> Plan:
    rng = random.Random(seed)
    names = [f"c{number + 1}" for number in range(rng.randint(2, 5))]
    subnets = rng.choice((1, 1, 2))
    topology = room(len(names), rate_bits_per_s=RATE, subnets=subnets, multicast_routing=rng.random() < 0.5)
    links = {
        name: Link(rate_bits_per_s=rng.choice((RATE, RATE, RATE, RATE / 4)), loss=rng.choice((0, 0, 0.01, 0.05)))
        for name in names
    }
    for name, link in links.items():
        topology = topology.with_link(name, link)
    return Plan(
        seed=seed,
        topology=topology,
        subnets=subnets,
        links=links,
        methods={name: f"{rng.choice(WAYS)}-{rng.choice(PLACES)}" for name in names},
        starts={name: rng.choice((0.0, 0.0, rng.uniform(0, 3))) for name in names},
        blocked=[name for name in names if rng.random() < 0.25],
        image_bytes=rng.choice((1, 16 * MIB + 5, 48 * MIB, 96 * MIB)),
        troubles=[_trouble(rng, names) for _ in range(rng.randint(0, 4))],
    )


class Play:
    """One room, until every client is done."""

    def __init__(self, plan: Plan, lab: Room) -> None:
        self._plan = plan
        self._lab = lab
        self._repod: Repod = lab.serve()
        self._clients: dict[str, Client] = {}
        self._due: list[tuple[float, str, str]] = []
        for name, at_s in plan.starts.items():
            self._due.append((at_s, "start", name))
        for trouble in plan.troubles:
            self._due.append((trouble.at_s, trouble.kind, trouble.host))
            if trouble.kind in LASTING:
                self._due.append((trouble.at_s + trouble.for_s, f"end of {trouble.kind}", trouble.host))

    def run(self) -> None:
        """Raises AssertionError where a client fails, or is not done in time."""
        began = time.monotonic()
        while self._due or any(client.process.poll() is None for client in self._clients.values()):
            now = time.monotonic() - began
            if now > ROOM_S:
                raise AssertionError(f"not done after {ROOM_S:g} s: {self._plan}\n{self._tails()}")
            for each in sorted(each for each in self._due if each[0] <= now):
                self._due.remove(each)
                self._do(each[1], each[2], now)
            time.sleep(TICK_S)
        for name, client in self._clients.items():
            assert client.process.returncode == 0, f"{name} of {self._plan}\n{self._tails()}"
        self._lab.check(*self._clients)
        self._repod.stop()

    def _do(self, kind: str, host: str, now: float) -> None:
        client = self._clients.get(host)
        runs = client is not None and client.process.poll() is None
        match kind:
            case "start":
                method = self._plan.methods[host]
                cache = ["--cache", self._lab.folder / f"cache-{host}"] if method.endswith("CACHE") else []
                command = "deploy" if cache else "restore"
                self._clients[host] = self._lab.client(host, *cache, command=command, method=method)
            case "kill" if client is not None and runs:
                client.kill()
                self._due.append((now + AGAIN_S, "start", host))
            case "stop" if client is not None and runs:
                client.process.send_signal(signal.SIGSTOP)
            case "end of stop" if client is not None and runs:
                client.process.send_signal(signal.SIGCONT)
            case "cut" | "end of cut":
                self._lab.rig.set_cable(host, up=kind != "cut")
            case "noise" | "end of noise":
                link = self._plan.links[host]
                self._lab.rig.set_link(host, replace(link, loss=NOISE) if kind == "noise" else link)
            case "part" | "end of part" if self._plan.topology.subnets > 1:
                self._lab.rig.set_subnet(1, up=kind != "part")
            case "block" | "unblock":
                self._lab.rig.block_multicast(host, blocked=kind == "block")
            case "restart" | "crash":
                if kind == "crash":
                    self._repod.kill()
                else:
                    self._repod.stop()
                self._repod = self._lab.serve()

    def _tails(self) -> str:
        return "\n".join(f"{name}: {client.events[-3:]}" for name, client in self._clients.items())


def _seeds() -> Iterator[int]:
    """Some, or as many as there is time for."""
    ends_at = time.monotonic() + SOAK_S
    seed = SEED
    while seed < SEED + 2 or time.monotonic() < ends_at:
        yield seed
        seed += 1


def test_whatever_happens_in_a_room_every_client_ends_with_every_byte(tmp_path: Path) -> None:
    for seed in _seeds():
        plan = _plan(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with room_of(plan.topology, folder, image_bytes=plan.image_bytes, chunk_bytes=MIB) as lab:
            for host in plan.blocked:
                lab.rig.block_multicast(host)
            began = time.monotonic()
            Play(plan, lab).run()
            if SOAK_S:
                sys.stdout.write(f"{time.monotonic() - began:.1f} s: {plan}\n")
                sys.stdout.flush()
        for image in folder.glob("*.img"):
            image.unlink()
