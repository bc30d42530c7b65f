"""How long does a room of 8 take by its own peers at 1 Gbit/s, against aria2?"""

from __future__ import annotations

import shutil

from bench.lab import shell
from bench.lab.aria2 import with_torrents
from bench.lab.classroom import Classroom, random_image, scratch
from bench.lab.rig import Rig
from bench.lab.swarming import METHOD, aria2_row, copies_row, with_offload
from bench.lab.topology import room
from bench.lab.verdict import outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 1e9
GOAL, COPIES_GOAL = 1.5, 1.25


def run(options: Options) -> Outcome:
    """The same bytes from the same repository to the same hosts; aria2 after our runs."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(options.clients or CLIENTS)]
    label = f"{len(hosts)} clients"
    with scratch(options.folder) as folder:
        keep = len(hosts) * options.size < shutil.disk_usage(folder).free * 0.7
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        with (
            Rig(with_offload(room(len(hosts), rate_bits_per_s=RATE))) as rig,
            classroom.open(rig, change=with_torrents) as lesson,
        ):
            ours = []
            for number in range(options.runs):
                options.say(f"ogcast, run {number + 1} of {options.runs}")
                ours.append(lesson.fetch(hosts, method=METHOD, keep=keep, timeout_s=patience_s(limit_s)))
            options.say("aria2")
            theirs = aria2_row(label, lesson, hosts, folder=folder, limit_s=limit_s, timeout_s=patience_s(limit_s))
    rows = [
        transfer_row(f"{label}: ogcast", ours, image_bytes=options.size, limit_s=limit_s, goal=GOAL),
        copies_row(f"{label}: ogcast", ours, image_bytes=options.size, goal=COPIES_GOAL),
        theirs,
    ]
    where = "into memory" if keep else "verified, not kept"
    material = f"{options.size // MIB} MiB that do not compress, every link {RATE / 1e6:.0f} Mbit/s, {where}"
    return outcome(rows, material=material, transfers=ours)


SCENARIO = Scenario(
    name="p2p-gigabit",
    question="How long does a room of 8 take by its own peers at 1 Gbit/s, against aria2?",
    run=run,
    size=1024 * MIB,
    runs=3,
    goal="at most 1.5 times what the wire needs; the repository sends at most 1.25 copies",
    missing=shell.missing,
)
