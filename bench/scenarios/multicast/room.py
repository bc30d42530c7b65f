"""How long does a room of 8 take at 200 Mbit/s, without loss and with 1 and 5 %, against udpcast and uftp?"""

from __future__ import annotations

from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.peers import run_udpcast, run_uftp, udpcast_installed, uftp_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, outcome, peer_row, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
GOALS = {0.0: 1.08, 0.01: 1.12, 0.05: 1.20}
"""Loss on every path, reports included, and seconds over the limit to reach."""


def run(options: Options) -> Outcome:
    """The same bytes from the same host to the same hosts; each peer runs once per loss, after our runs."""
    goals = GOALS if options.loss is None else {options.loss: GOALS.get(options.loss)}
    rows: list[Row] = []
    transfers: list[Transfer] = []
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    with scratch(options.folder) as folder:
        source = random_image(folder / "source.img", options.size)
        classroom = Classroom(folder, source)
        for loss, goal in goals.items():
            label = f"loss {loss:.0%}"
            with Rig(room(CLIENTS, rate_bits_per_s=RATE, loss=loss, talker="server")) as rig:
                with classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
                    ours = []
                    for number in range(options.runs):
                        options.say(f"{label}: ogcast, run {number + 1} of {options.runs}")
                        ours.append(lesson.fetch(hosts, timeout_s=patience_s(limit_s)))
                transfers += ours
                rows.append(
                    transfer_row(f"{label}: ogcast", ours, image_bytes=options.size, limit_s=limit_s, goal=goal)
                )
                if not (udpcast_installed() and uftp_installed()):
                    rows.append(Row(label=f"{label}: peers", note=NOT_INSTALLED))
                    continue
                options.say(f"{label}: udpcast")
                peer = run_udpcast(rig, source, hosts, folder=folder, timeout_s=patience_s(limit_s))
                rows.append(peer_row(f"{label}: udpcast", [peer], image_bytes=options.size, limit_s=limit_s))
                options.say(f"{label}: uftp")
                peer = run_uftp(rig, source, hosts, folder=folder, rate_bits_per_s=RATE, timeout_s=patience_s(limit_s))
                rows.append(peer_row(f"{label}: uftp", [peer], image_bytes=options.size, limit_s=limit_s))
    material = f"{options.size // MIB} MiB that do not compress, to {CLIENTS} clients, into memory"
    return outcome(rows, material=material, transfers=transfers)


SCENARIO = Scenario(
    name="multicast-room",
    question="How long does a room of 8 take at 200 Mbit/s with loss 0, 1 and 5 %, against udpcast and uftp?",
    run=run,
    size=256 * MIB,
    runs=3,
    goal="at most 1.08, 1.12 and 1.20 times what the wire needs",
    missing=shell.missing,
)
