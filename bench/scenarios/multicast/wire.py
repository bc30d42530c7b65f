"""How many bytes does the wire carry under loss, against what theory says of parity on demand?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome
from bench.limits import originals_again, patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.simnet.theory import sent_share
from bench.stats import summarise
from transports.multicast.proto.limits import symbol_bytes_for

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
LOSSES = (0.0, 0.001, 0.01, 0.05, 0.10)
WITHIN = 1.03
START_WAIT_S = 60.0
SYMBOL_BYTES = symbol_bytes_for(mtu_bytes=1500)


def run(options: Options) -> Outcome:
    """Packets to the group, counted by the switch, over the packets that the image is cut into.

    Theory counts packets per packet of the image, so that headers cancel out; the other column has them. The cast
    begins when all clients are there: what late joiners cost is another question (multicast-staggered).
    """
    rows: list[Row] = []
    transfers: list[Transfer] = []
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        once = sum(-(-frame // SYMBOL_BYTES) for frame in classroom.frames)
        settings = {"rate_mbit_per_s": RATE / 1e6, "start_clients": CLIENTS, "start_wait_s": START_WAIT_S}
        for loss in LOSSES if options.loss is None else (options.loss,):
            with (
                Rig(room(CLIENTS, rate_bits_per_s=RATE, loss=loss)) as rig,
                classroom.open(rig, multicast=settings) as lesson,
            ):
                ours = []
                for number in range(options.runs):
                    options.say(f"loss {loss:.1%}: run {number + 1} of {options.runs}")
                    ours.append(lesson.fetch(hosts, timeout_s=patience_s(limit_s)))
            transfers += ours
            packets = summarise([one.moved["server"].from_group_packets for one in ours]).median
            theory = sent_share(loss, CLIENTS)
            above = packets / once / theory
            rows.append(
                Row(
                    label=f"loss {loss:.1%}",
                    figures={
                        "loss %": 100 * loss,
                        "packets / packets of the image": packets / once,
                        "theory, k = 188": theory,
                        "ratio": above,
                        **at_most(above, WITHIN, counts=not complaints(ours)),
                        "theory, originals again": originals_again(loss, CLIENTS),
                        "wire / image bytes": summarise(
                            [one.moved["server"].from_bytes / options.size for one in ours]
                        ).median,
                        "by unicast %": 100 * _by_unicast(ours) / (options.size * CLIENTS * len(ours)),
                        "s": summarise([one.seconds for one in ours]).median,
                    },
                    note=complaints(ours),
                )
            )
    material = f"{options.size // MIB} MiB that do not compress, to {CLIENTS} clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=transfers)


def _by_unicast(transfers: list[Transfer]) -> int:
    """Bytes that did not come by multicast: they are not in the packets counted."""
    return sum(run.bytes_by("repository") for one in transfers for run in one.clients.values())


SCENARIO = Scenario(
    name="multicast-wire",
    question="How many packets does the wire carry under loss, against what theory says of parity on demand?",
    run=run,
    size=128 * MIB,
    runs=1,
    goal="within 3 % of theory for blocks of 188 symbols",
    missing=shell.missing,
)
