"""What do the others notice when three of eight peers are killed in the middle?"""

from __future__ import annotations

from bench.lab import shell
from bench.lab.classroom import Classroom, Lesson, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.swarming import METHOD, survivors, with_offload
from bench.lab.topology import room
from bench.lab.verdict import outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
VICTIMS = ("c6", "c7", "c8")
RATE = 200e6
AT = 0.5
"""When it happens, as part of the time that the wire needs."""
GOAL = 1.3


def run(options: Options) -> Outcome:
    """Three `ogcast` get SIGKILL at once; the time is that of the other five."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    ours = []
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        with Rig(with_offload(room(CLIENTS, rate_bits_per_s=RATE))) as rig, classroom.open(rig) as lesson:
            for number in range(options.runs):
                options.say(f"run {number + 1} of {options.runs}")
                plans = [(AT * limit_s, lambda: _strike(lesson))]
                one = lesson.fetch(hosts, method=METHOD, plans=plans, timeout_s=patience_s(limit_s))
                ours.append(survivors(one, VICTIMS))
    label = f"the other {CLIENTS - len(VICTIMS)} of {CLIENTS}"
    rows = [transfer_row(label, ours, image_bytes=options.size, limit_s=limit_s, goal=GOAL)]
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} peers at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=ours)


def _strike(lesson: Lesson) -> None:
    for host in VICTIMS:
        lesson.kill(host)


SCENARIO = Scenario(
    name="p2p-killed",
    question="How long do five of eight peers take when three are killed (SIGKILL) in the middle?",
    run=run,
    size=256 * MIB,
    runs=3,
    goal="at most 1.3 times what the wire needs",
    missing=shell.missing,
)
