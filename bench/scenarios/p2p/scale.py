"""Does the time of a swarm grow with its peers?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import shell
from bench.lab.aria2 import with_torrents
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch, targets_fit, where_kept
from bench.lab.swarming import METHOD, aria2_row, with_offload
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
COUNTS = (2, 4, 8, 16)
RATE = 100e6
FLAT = 1.10


def run(options: Options) -> Outcome:
    """One room after another, all targets kept if those of the largest fit in memory. The largest room is aria2's as
    well."""
    counts = COUNTS if options.clients is None else (options.clients,)
    rows: list[Row] = []
    theirs: list[Row] = []
    transfers: list[Transfer] = []
    medians: list[float] = []
    limit_s = seconds_on_wire(options.size, RATE)
    with scratch(options.folder) as folder:
        keep = targets_fit(folder, max(counts), options.size)
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        for count in counts:
            hosts = [f"c{number + 1}" for number in range(count)]
            rig = Rig(with_offload(room(count, rate_bits_per_s=RATE)))
            with rig, classroom.open(rig, change=with_torrents) as lesson:
                ours = []
                for number in range(options.runs):
                    options.say(f"{count} peers, run {number + 1} of {options.runs}")
                    one = lesson.fetch(hosts, method=METHOD, keep=keep, timeout_s=patience_s(limit_s))
                    ours.append(one)
                if count == max(counts):
                    options.say(f"{count} peers, aria2")
                    patience = patience_s(limit_s)
                    theirs.append(
                        aria2_row(f"{count} peers", lesson, hosts, folder=folder, limit_s=limit_s, timeout_s=patience)
                    )
            transfers += ours
            medians.append(summarise([one.seconds for one in ours]).median)
            more = {"clients": float(count)}
            rows.append(transfer_row(f"{count} peers", ours, image_bytes=options.size, limit_s=limit_s, more=more))
    if len(medians) > 1:
        spread = max(medians) / min(medians)
        flat = at_most(spread, FLAT, counts=not complaints(transfers))
        rows.append(Row(label="slowest room over fastest", figures={"ratio": spread, **flat}))
    rows += theirs
    material = f"{options.size // MIB} MiB that do not compress, every link {RATE / 1e6:.0f} Mbit/s, {where_kept(keep)}"
    return outcome(rows, material=material, transfers=transfers)


SCENARIO = Scenario(
    name="p2p-scale",
    question="Does the time of a swarm grow with its peers: 2, 4, 8 and 16 at 100 Mbit/s?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="flat within 10 %",
    missing=shell.missing,
)
