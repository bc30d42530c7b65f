"""Does the time grow with the number of clients?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch, targets_fit, where_kept
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
COUNTS = (1, 2, 4, 8, 16, 24)
RATE = 100e6
FLAT = 1.05


def run(options: Options) -> Outcome:
    """One room after another, with targets where those of the largest fit."""
    rows: list[Row] = []
    transfers: list[Transfer] = []
    medians: list[float] = []
    limit_s = seconds_on_wire(options.size, RATE)
    with scratch(options.folder) as folder:
        counts = COUNTS if options.clients is None else (options.clients,)
        keep = targets_fit(folder, max(counts), options.size)
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        for count in counts:
            hosts = [f"c{number + 1}" for number in range(count)]
            with (
                Rig(room(count, rate_bits_per_s=RATE, talker="server")) as rig,
                classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
            ):
                ours = []
                for number in range(options.runs):
                    options.say(f"{count} clients, run {number + 1} of {options.runs}")
                    ours.append(lesson.fetch(hosts, keep=keep, timeout_s=patience_s(limit_s)))
            transfers += ours
            medians.append(summarise([one.seconds for one in ours]).median)
            more = {"clients": float(count)}
            label = f"{count} client{'s' if count > 1 else ''}"
            rows.append(transfer_row(label, ours, image_bytes=options.size, limit_s=limit_s, more=more))
    spread = max(medians) / min(medians)
    flat = at_most(spread, FLAT, counts=not complaints(transfers))
    rows.append(Row(label="slowest room over fastest", figures={"ratio": spread, **flat}))
    material = f"{options.size // MIB} MiB that do not compress, {where_kept(keep)}"
    return outcome(rows, material=material, transfers=transfers)


SCENARIO = Scenario(
    name="multicast-scale",
    question="Does the time of a room grow with its clients: 1, 2, 4, 8, 16 and 24 at 100 Mbit/s?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="flat within 5 %",
    missing=shell.missing,
)
