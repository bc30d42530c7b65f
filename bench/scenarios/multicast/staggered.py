"""How much is sent twice when a room does not start together but over the time of one image?"""

from __future__ import annotations

from functools import partial

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.flow import FlowMeter
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise
from transports.multicast.proto.limits import HEADER_BYTES, TAG_BYTES, WIRE_OVERHEAD_BYTES, symbol_bytes_for

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
GOAL = 10.0
SYMBOL_BYTES = symbol_bytes_for(mtu_bytes=1500)
OVERHEAD = 1 + (WIRE_OVERHEAD_BYTES + HEADER_BYTES + TAG_BYTES) / SYMBOL_BYTES
"""Bytes on the cable over bytes of the image, of full packets: Ethernet, IP, UDP and our own header count."""


def run(options: Options) -> Outcome:
    """A duplicate is what a member of the group receives beyond one image: it has it already (Frisbee's measure).

    Counted by each host's kernel from the moment it is a member until its client has ended. The second figure is the
    sender's: what it sent, over the least that serves those starts by the group alone (one image, and once more up to
    the last start); less when peers gave some of it.
    """
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    starts = {host: limit_s * number / CLIENTS for number, host in enumerate(hosts)}
    rows: list[Row] = []
    transfers: list[Transfer] = []
    duplicates: list[float] = []
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        with (
            Rig(room(CLIENTS, rate_bits_per_s=RATE)) as rig,
            classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson,
        ):
            for number in range(options.runs):
                options.say(f"run {number + 1} of {options.runs}")
                meter = FlowMeter(rig)
                plans = [(starts[host], partial(lesson.start, host)) for host in hosts[1:]]
                one = lesson.fetch(
                    hosts[:1],
                    timeout_s=patience_s(limit_s),
                    plans=plans,
                    sample=meter.sample,
                    on_start=meter.add,
                )
                transfers.append(one)
                received = sum(meter.received_as_member(host) for host in hosts)
                duplicates.append(100 * (received / (OVERHEAD * options.size * CLIENTS) - 1))
    twice = summarise(duplicates).median
    sent = summarise([one.moved["server"].from_bytes / options.size / OVERHEAD for one in transfers]).median
    least = 1 + starts[hosts[-1]] / limit_s
    own = [one.clients[host].finish.seconds for one in transfers for host in hosts]
    rows.append(
        Row(
            label="duplicates, % of what members receive",
            figures={"%": twice, **at_most(twice, GOAL, unit=" %", counts=not complaints(transfers))},
            note=complaints(transfers),
        )
    )
    rows.append(
        Row(
            label="images the repository sent, over what a group without peers needs",
            figures={"%": 100 * (sent / least - 1), "images": sent},
        )
    )
    rows.append(
        Row(
            label="slowest client, from its own start",
            figures={"s": max(own), "limit s": limit_s, "ratio": max(own) / limit_s},
        )
    )
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=transfers)


SCENARIO = Scenario(
    name="multicast-staggered",
    question="How much is received twice when 8 clients start evenly over the time of one image?",
    run=run,
    size=256 * MIB,
    runs=3,
    goal="duplicates under 10 % (Frisbee, 2003, 80 clients over 30 s: 59 %)",
    missing=shell.missing,
)
