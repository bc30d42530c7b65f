"""What the scenarios of swarms have in common: the rig, one room of ours, one of aria2, and what is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.goals import at_most
from bench.lab.aria2 import aria2_installed, run_aria2, with_torrents
from bench.lab.classroom import Classroom, Lesson, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch, targets_fit, where_kept
from bench.lab.topology import Topology, room
from bench.lab.verdict import complaints, outcome, peer_row, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row
from bench.stats import summarise

__all__ = ["METHOD", "MIB", "aria2_row", "copies_row", "run_room", "survivors", "with_offload"]

METHOD = "TORRENT-DIRECT"
MIB = 1 << 20
CLIENTS = 8
COPIES_GOAL = 1.25
NOT_INSTALLED = "not installed (apt install aria2)"


def with_offload(topology: Topology) -> Topology:
    """The rig for TCP: trains cross the switch whole, as a NIC's offload sends them."""
    return replace(topology, segmentation=True, gro=False)


def copies_row(label: str, transfers: Sequence[Transfer], *, image_bytes: int, goal: float) -> Row:
    """How many images left the repository's host."""
    copies = summarise([one.moved["server"].from_bytes / image_bytes for one in transfers]).median
    judged = at_most(copies, goal, unit=" copies", counts=not complaints(transfers))
    return Row(label=f"{label}: sent by the repository", figures={"wire / image bytes": copies, **judged})


def aria2_row(
    label: str, lesson: Lesson, hosts: Sequence[str], *, folder: Path, limit_s: float, timeout_s: float
) -> Row:
    """The same room by aria2, if it is there and its files fit beside each other."""
    size = lesson.room.source.stat().st_size
    if not aria2_installed():
        return Row(label=f"{label}: aria2", note=NOT_INSTALLED)
    if not targets_fit(folder, len(hosts), size):
        return Row(label=f"{label}: aria2", note=f"{len(hosts)} files of {size >> 20} MiB do not fit in memory")
    before = lesson.rig.counters()["server"]
    run = run_aria2(lesson, hosts, folder=folder, timeout_s=timeout_s)
    sent = lesson.rig.counters()["server"].since(before).from_bytes
    return peer_row(f"{label}: aria2", [run], image_bytes=size, limit_s=limit_s, wire_bytes=sent)


def survivors(transfer: Transfer, gone: Sequence[str]) -> Transfer:
    """The same transfer without those who were killed or lied."""
    left = {host: run for host, run in transfer.clients.items() if host not in gone}
    return replace(transfer, clients=left)


def run_room(options: Options, *, rate_bits_per_s: float, goal: float) -> Outcome:
    """A room of 8 by its own peers, then by aria2 with the same bytes on the same cables.

    `goal`: seconds over what the wire needs. aria2 runs once, after our runs.
    """
    limit_s = seconds_on_wire(options.size, rate_bits_per_s)
    hosts = [f"c{number + 1}" for number in range(options.clients or CLIENTS)]
    label = f"{len(hosts)} clients"
    with scratch(options.folder) as folder:
        keep = targets_fit(folder, len(hosts), options.size)
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        rig = Rig(with_offload(room(len(hosts), rate_bits_per_s=rate_bits_per_s)))
        with rig, classroom.open(rig, change=with_torrents) as lesson:
            ours = _runs(options, lesson, hosts, keep=keep, limit_s=limit_s)
            options.say("aria2")
            theirs = aria2_row(label, lesson, hosts, folder=folder, limit_s=limit_s, timeout_s=patience_s(limit_s))
    rows = [
        transfer_row(f"{label}: ogcast", ours, image_bytes=options.size, limit_s=limit_s, goal=goal),
        copies_row(f"{label}: ogcast", ours, image_bytes=options.size, goal=COPIES_GOAL),
        theirs,
    ]
    rate = f"{rate_bits_per_s / 1e6:.0f} Mbit/s"
    material = f"{options.size // MIB} MiB that do not compress, every link {rate}, {where_kept(keep)}"
    return outcome(rows, material=material, transfers=ours)


def _runs(options: Options, lesson: Lesson, hosts: Sequence[str], *, keep: bool, limit_s: float) -> list[Transfer]:
    ours = []
    for number in range(options.runs):
        options.say(f"ogcast, run {number + 1} of {options.runs}")
        ours.append(lesson.fetch(hosts, method=METHOD, keep=keep, timeout_s=patience_s(limit_s)))
    return ours
