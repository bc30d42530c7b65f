"""What the scenarios of swarms have in common: the rig, one room of ours, one of aria2, and what is judged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.lab.aria2 import aria2_installed, run_aria2
from bench.lab.classroom import Lesson, Transfer
from bench.lab.topology import Topology
from bench.lab.verdict import at_most, complaints, peer_row
from bench.scenario import Row
from bench.stats import summarise

__all__ = ["METHOD", "aria2_row", "copies_row", "survivors", "with_offload"]

METHOD = "TORRENT-DIRECT"
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
    if len(hosts) * size > shutil.disk_usage(folder).free * 0.8:
        return Row(label=f"{label}: aria2", note=f"{len(hosts)} files of {size >> 20} MiB do not fit in memory")
    before = lesson.rig.counters()["server"]
    run = run_aria2(lesson, hosts, folder=folder, timeout_s=timeout_s)
    sent = lesson.rig.counters()["server"].since(before).from_bytes
    return peer_row(f"{label}: aria2", run, image_bytes=size, limit_s=limit_s, wire_bytes=sent)


def survivors(transfer: Transfer, gone: Sequence[str]) -> Transfer:
    """The same transfer without those who were killed or lied."""
    left = {host: run for host, run in transfer.clients.items() if host not in gone}
    return replace(transfer, clients=left)
