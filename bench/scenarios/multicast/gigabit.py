"""How fast is a room of 8 at 1 Gbit/s, where system calls decide, against udpcast?"""

from __future__ import annotations

from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch, targets_fit, where_kept
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, complaints, counting, outcome, peer_row, times_row, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 1e9
GOALS = {0.0: 1.35, 0.01: 1.50}
TIMES_UDPCAST = 4.0
CHUNK_BYTES = 4 * MIB
"""As a partition of more than 2 GiB is cut, which the material stands for; the gibibyte by itself would have 2 MiB."""


def run(options: Options) -> Outcome:
    """Targets are kept where they fit; else ours verify every chunk, and udpcast writes to /dev/null."""
    goals = GOALS if options.loss is None else {options.loss: GOALS.get(options.loss)}
    rows: list[Row] = []
    transfers: list[Transfer] = []
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    with scratch(options.folder) as folder:
        keep = targets_fit(folder, CLIENTS, options.size)
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source, chunk_bytes=CHUNK_BYTES)
        for loss, goal in goals.items():
            label = f"loss {loss:.0%}"
            with Rig(room(CLIENTS, rate_bits_per_s=RATE, loss=loss, talker="server")) as rig:
                with classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
                    ours = []
                    for number in range(options.runs):
                        options.say(f"{label}: ogcast, run {number + 1} of {options.runs}")
                        ours.append(lesson.fetch(hosts, keep=keep, timeout_s=patience_s(limit_s)))
                transfers += ours
                row = transfer_row(f"{label}: ogcast", ours, image_bytes=options.size, limit_s=limit_s, goal=goal)
                rows.append(row)
                if not udpcast_installed():
                    rows.append(Row(label=f"{label}: udpcast", note=NOT_INSTALLED))
                    continue
                peers = []
                for number in range(options.runs):
                    options.say(f"{label}: udpcast, run {number + 1} of {options.runs}")
                    kept = folder if keep else None
                    peers.append(run_udpcast(rig, source, hosts, folder=kept, timeout_s=patience_s(limit_s)))
                peer = peer_row(f"{label}: udpcast", peers, image_bytes=options.size, limit_s=limit_s)
                counts = bool(counting(peers)) and not complaints(ours)
                gain = f"{label}: udpcast's seconds over ours"
                rows += [peer, times_row(gain, row, peer, goal=TIMES_UDPCAST, counts=counts)]
    chunks = f"chunks of {CHUNK_BYTES // MIB} MiB"
    material = f"{options.size // MIB} MiB that do not compress, {chunks}, to {CLIENTS} clients, {where_kept(keep)}"
    return outcome(rows, material=material, transfers=transfers)


SCENARIO = Scenario(
    name="multicast-gigabit",
    question="How fast is a room of 8 at 1 Gbit/s with loss 0 and 1 %, against udpcast?",
    run=run,
    size=1024 * MIB,
    runs=3,
    goal="at most 1.35 and 1.50 times what the wire needs, and at least 4 times udpcast's rate",
    missing=shell.missing,
)
