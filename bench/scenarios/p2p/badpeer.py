"""What does a peer cost that gives wrong chunks to everybody?"""

from __future__ import annotations

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.swarming import METHOD, survivors, with_offload
from bench.lab.topology import room
from bench.lab.verdict import complaints, outcome, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
LIAR = "c8"
RATE = 200e6
GOAL = 1.10


def run(options: Options) -> Outcome:
    """The same room twice: all honest, and with one liar. Every target is compared with the source afterwards."""
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    honest: list[Transfer] = []
    lied: list[Transfer] = []
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        with Rig(with_offload(room(CLIENTS, rate_bits_per_s=RATE))) as rig, classroom.open(rig) as lesson:
            for number in range(options.runs):
                options.say(f"run {number + 1} of {options.runs}: all honest")
                one = lesson.fetch(hosts, method=METHOD, timeout_s=patience_s(limit_s))
                honest.append(survivors(one, [LIAR]))
                options.say(f"run {number + 1} of {options.runs}: one lies")
                modules = {LIAR: "bench.lab.liar"}
                one = lesson.fetch(hosts, method=METHOD, modules=modules, timeout_s=patience_s(limit_s))
                lied.append(survivors(one, [LIAR]))
    rows = [
        transfer_row("all honest", honest, image_bytes=options.size, limit_s=limit_s),
        transfer_row("one lies", lied, image_bytes=options.size, limit_s=limit_s, more=_bad(lied)),
        _cost(honest, lied),
    ]
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} peers at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=[*honest, *lied])


def _bad(transfers: list[Transfer]) -> dict[str, float | str | None]:
    refused = sum(run.bad_chunks for one in transfers for run in one.clients.values())
    wrong = sum("differs" in run.complaint for one in transfers for run in one.clients.values())
    return {"wrong chunks refused": float(refused), "targets with wrong bytes": float(wrong)}


def _cost(honest: list[Transfer], lied: list[Transfer]) -> Row:
    medians = [summarise([one.seconds for one in transfers]).median for transfers in (honest, lied)]
    ratio = medians[1] / medians[0]
    # A liar that nobody noticed proves nothing.
    noticed = bool(_bad(lied)["wrong chunks refused"]) and not complaints([*honest, *lied])
    return Row(label="with a liar over without", figures={"ratio": ratio, **at_most(ratio, GOAL, counts=noticed)})


SCENARIO = Scenario(
    name="p2p-badpeer",
    question="What does a peer cost the others that gives a wrong byte in every chunk?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="at most 10 % more time, and no wrong byte written",
    missing=shell.missing,
)
