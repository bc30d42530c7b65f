"""What do a lossy, a late and a slow client cost a group when peers help, and what do they get themselves?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.goals import at_most
from bench.lab import shell
from bench.lab.classroom import METHOD as MULTICAST
from bench.lab.classroom import Classroom, ClientRun, Transfer, random_image
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import Link, Topology, room
from bench.lab.verdict import complaints, outcome
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.stats import summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6
LOSS = 0.10
SHARE = 0.25
METHODS = (MULTICAST, "AUTO")
GROUP_GOAL, SPECIAL_GOAL, DUPLICATES_GOAL = 1.03, 1.3, 0.02
SOURCES = {"multicast": "multicast", "peers": "peer ", "repository": "repository"}
"""Column, and how the names of its sources begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """A client that is not like the others."""

    host: str
    what: str
    limit_s: float
    """What its own link needs for the image."""


def run(options: Options) -> Outcome:
    """In turn: a room that gets along with multicast alone, and one with three special clients by each method.

    In all rooms as many clients start at once; the group's figure is that of the same five. The switch snoops: else the
    slow link would be full of a cast its client has left.
    """
    limit_s = seconds_on_wire(options.size, RATE)
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    group, (lossy, slow, late) = hosts[:-3], hosts[-3:]
    specials = [
        Special(host=lossy, what=f"{LOSS:.0%} lost on its path", limit_s=limit_s / (1 - LOSS)),
        Special(host=slow, what=f"link of {RATE * SHARE / 1e6:.0f} Mbit/s", limit_s=limit_s / SHARE),
        Special(host=late, what="joins at half", limit_s=limit_s),
    ]
    alike = replace(room(CLIENTS, rate_bits_per_s=RATE), snooping=True)
    mixed = alike.with_link(lossy, Link(rate_bits_per_s=RATE, loss=LOSS))
    mixed = mixed.with_link(slow, Link(rate_bits_per_s=RATE * SHARE))
    alone: list[Transfer] = []
    mixed_by: dict[str, list[Transfer]] = {method: [] for method in METHODS}
    with scratch(options.folder) as folder:
        classroom = Classroom(folder, random_image(folder / "source.img", options.size))
        patience = patience_s(limit_s / SHARE)
        for number in range(options.runs):
            options.say(f"run {number + 1} of {options.runs}: all links alike")
            alone.append(_fetch(classroom, alike, hosts[:-1], MULTICAST, patience))
            for method, transfers in mixed_by.items():
                options.say(f"run {number + 1} of {options.runs}: {method}, one lossy, one slow, one late")
                transfers.append(_fetch(classroom, mixed, hosts[:-1], method, patience, (limit_s / 2, late)))
    without = summarise([_last(one, group) for one in alone]).median
    rows = [
        Row(
            label="the group, all links alike",
            figures={"s": without, "limit s": limit_s, "ratio": without / limit_s},
            note=complaints(alone),
        )
    ]
    for method, transfers in mixed_by.items():
        rows += _rows(method, transfers, group, specials, without_s=without, image_bytes=options.size)
    material = f"{options.size // MIB} MiB that do not compress, {CLIENTS} clients at {RATE / 1e6:.0f} Mbit/s"
    return outcome(rows, material=material, transfers=[*alone, *(one for some in mixed_by.values() for one in some)])


def _rows(
    method: str,
    transfers: list[Transfer],
    group: list[str],
    specials: list[Special],
    *,
    without_s: float,
    image_bytes: int,
) -> list[Row]:
    note = complaints(transfers)
    others = summarise([_last(one, group) for one in transfers]).median
    runs = [run for one in transfers for run in one.clients.values()]
    twice = sum(_in_vain(run) for run in runs)
    part = twice / max(1, twice + sum(run.bytes_by("") for run in runs))
    sent = summarise([one.moved["server"].from_bytes / image_bytes for one in transfers]).median
    return [
        Row(
            label=f"{method}: the group",
            figures={
                "s": others,
                "limit s": without_s,
                "ratio": others / without_s,
                **at_most(others / without_s, GROUP_GOAL, counts=not note),
                **_mean([run for run in runs if run.host in group]),
            },
            note=note,
        ),
        *(_special_row(method, special, transfers) for special in specials),
        Row(
            label=f"{method}: fetched twice, of all that was fetched",
            figures={"ratio": part, **at_most(part, DUPLICATES_GOAL, counts=not note)},
        ),
        Row(label=f"{method}: sent by the repository", figures={"wire / image bytes": sent}),
    ]


def _fetch(
    classroom: Classroom,
    topology: Topology,
    hosts: list[str],
    method: str,
    timeout_s: float,
    late: tuple[float, str] | None = None,
) -> Transfer:
    with Rig(topology) as rig, classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
        lesson.settings = _settings(classroom)
        plans = [] if late is None else [(late[0], partial(lesson.start, late[1], method=method))]
        return lesson.fetch(hosts, method=method, timeout_s=timeout_s, plans=plans)


def _settings(classroom: Classroom) -> Path:
    """Clients that give on when they are done, as they do unless told otherwise: what others of the room go by."""
    path = classroom.folder / "client-giving.toml"
    text = (classroom.site.repository / "client.toml").read_text()
    path.write_text(text.replace("seed = false", "seed = true"))
    path.chmod(0o600)
    return path


def _special_row(method: str, special: Special, transfers: list[Transfer]) -> Row:
    runs = [one.clients[special.host] for one in transfers]
    own = summarise([run.finish.seconds for run in runs]).median
    return Row(
        label=f"{method}: one, {special.what}",
        figures={
            "s": own,
            "limit s": special.limit_s,
            "ratio": own / special.limit_s,
            **at_most(own / special.limit_s, SPECIAL_GOAL, counts=not any(run.complaint for run in runs)),
            **_mean(runs),
        },
    )


def _mean(runs: list[ClientRun]) -> Mapping[str, float]:
    """MiB by lane, of one client."""
    found: dict[str, float] = {
        f"MiB by {column}": sum(run.bytes_by(source) for run in runs) / len(runs) / MIB
        for column, source in SOURCES.items()
    }
    found["MiB in vain"] = sum(_in_vain(run) for run in runs) / len(runs) / MIB
    return found


def _in_vain(run: ClientRun) -> int:
    return int(run.done.get("duplicate_bytes", 0))


def _last(transfer: Transfer, hosts: list[str]) -> float:
    return max(transfer.clients[host].finish.ended_s for host in hosts)


SCENARIO = Scenario(
    name="hybrid",
    question="What do a lossy, a slow and a late client cost a group when peers help, and what do they get?",
    run=run,
    size=256 * MIB,
    runs=1,
    goal="the group within 3 % of multicast alone, each of the three at most 1.3 times what its own link needs",
    missing=shell.missing,
)
