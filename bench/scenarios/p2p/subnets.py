"""What does the router between two subnets carry when eight peers take an image?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import plan, shell
from bench.lab.classroom import Classroom, random_image
from bench.lab.plan import Step
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.swarming import METHOD, with_offload
from bench.lab.topology import ROUTER, Host, Link, Topology
from bench.lab.verdict import complaints, outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
IN_EACH = 4
RATE = 200e6
ROUTER_RATE = 100e6
FAR = "eth1"
"""The router's interface in the second subnet."""
COPIES_GOAL = 1.3


def run(options: Options) -> Outcome:
    """The repository is in the first subnet with four peers; the way to the other four is half as fast."""
    limit_s = seconds_on_wire(options.size, ROUTER_RATE)
    hosts = [f"c{number + 1}" for number in range(2 * IN_EACH)]
    ours, copies = [], []
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        with Rig(with_offload(_topology(hosts))) as rig, classroom.open(rig) as lesson:
            _slow_down(rig)
            for number in range(options.runs):
                options.say(f"run {number + 1} of {options.runs}")
                before = _carried(rig)
                ours.append(lesson.fetch(hosts, method=METHOD, timeout_s=patience_s(limit_s)))
                copies.append((_carried(rig) - before) / options.size)
    carried = summarise(copies).median
    judged = at_most(carried, COPIES_GOAL, unit=" copies", counts=not complaints(ours))
    rows = [
        transfer_row("two subnets of 4", ours, image_bytes=options.size, limit_s=limit_s),
        Row(label="carried by the router into the second", figures={"wire / image bytes": carried, **judged}),
    ]
    material = (
        f"{options.size // MIB} MiB that do not compress, links {RATE / 1e6:.0f} Mbit/s, "
        f"the router {ROUTER_RATE / 1e6:.0f} Mbit/s"
    )
    return outcome(rows, material=material, transfers=ours)


def _topology(hosts: list[str]) -> Topology:
    link = Link(rate_bits_per_s=RATE)
    peers = [Host(name=name, subnet=number // IN_EACH, link=link) for number, name in enumerate(hosts)]
    return Topology(hosts=(Host(name="server", link=link), *peers), subnets=2)


def _in_router(rig: Rig, *words: str) -> Step:
    return Step(words=("ip", "netns", "exec", plan.namespace(rig.name, ROUTER), *words))


def _slow_down(rig: Rig) -> None:
    """Both directions of the router."""
    burst = str(plan.bucket_bytes(ROUTER_RATE))
    for device in ("eth0", FAR):
        tbf = ("tbf", "rate", f"{ROUTER_RATE:.0f}bit", "burst", burst, "limit", str(MIB))
        shell.perform([_in_router(rig, "tc", "qdisc", "replace", "dev", device, "root", *tbf)])


def _carried(rig: Rig) -> int:
    """Bytes that the router sent into the second subnet so far."""
    return int(shell.output_of(_in_router(rig, "cat", f"/sys/class/net/{FAR}/statistics/tx_bytes")))


SCENARIO = Scenario(
    name="p2p-subnets",
    question="Two subnets of 4 peers behind a router of 100 Mbit/s: how often does the image cross it?",
    run=run,
    size=128 * MIB,
    runs=1,
    goal="the router carries at most 1.3 copies into the other subnet",
    missing=shell.missing,
)
