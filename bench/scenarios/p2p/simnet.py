"""How does a swarm grow to a thousand peers in ten subnets, with peers that come and die, in virtual time?"""

from __future__ import annotations

import math
import random

from bench.goals import at_most, reached_of
from bench.scenario import Options, Outcome, Row, Scenario
from bench.simnet.swarm.campus import GIGABIT, Campus
from bench.simnet.swarm.campus import Outcome as Swarming
from images.defaults import chunk_size_for

__all__ = ["SCENARIO"]

MIB = 1 << 20
SUBNETS = 10
CROWDS = (10, 30, 100, 300, 1000)
CHURNED = 100
"""Peers of the run in which others come late and some die."""
TRAIN_BYTES = MIB // 2
AT_MOST = 20.0
"""Times the bound after which a run is given up."""
SEED = 1
RATIO_GOAL, COPIES_GOAL = 1.10, 1.3
COPIES = "most copies over a subnet's link"
DOUBLED = "chunks of twice the size"
"""The time until the first chunks are everywhere follows the size of one; `repod import --chunk-size` sets it."""

PUBLISHED = (
    Row(
        label="EZIO, published: 50 GB to 32 machines at 1 Gbit/s",
        figures={"peers": 32.0, "s": 1143.0, "bound s": 425.0, "ratio": 1143 / 425},
        note="README of tjjh89017/ezio, measured on real machines with hard disks; the bound is that of one link",
    ),
    Row(
        label="Kraken, published: 3 GB to 2,600 hosts, 300 MB/s each",
        figures={"peers": 2600.0, "s": 22.0, "bound s": 10.0, "ratio": 2.2},
        note="README of uber/kraken: 10 s for half of them, 18 s for 99 %, 22 s for 99.9 %; real hosts",
    ),
)
"""Other machines, other networks: a size to compare with, not a race."""


def run(options: Options) -> Outcome:
    """Peers and subnet links have 1 Gbit/s, the repository as much for each subnet; nothing is timed, all counted."""
    chunk_bytes = chunk_size_for(options.size)
    chunks = math.ceil(options.size / chunk_bytes)
    crowds = CROWDS if options.clients is None else (options.clients,)
    rows, good, last = [], True, 0.0
    for count in crowds:
        options.say(f"{count} peers")
        found = _campus(chunks, chunk_bytes, count).until_done(at_most_s=_patience_s(options.size))
        rows.append(_row(f"{count} peers in {SUBNETS} subnets", count, found))
        good = good and not found.unfinished
        last = found.ratio
    if options.clients is None:
        options.say(f"{crowds[-1]} peers, {DOUBLED}")
        doubled = _campus(math.ceil(chunks / 2), 2 * chunk_bytes, crowds[-1])
        found = doubled.until_done(at_most_s=_patience_s(options.size))
        rows.append(_row(f"{crowds[-1]} peers, {DOUBLED}", crowds[-1], found))
        good = good and not found.unfinished
        options.say(f"{CHURNED} peers, others come and some die")
        found = _churn(chunks, chunk_bytes, options.size).until_done(at_most_s=_patience_s(options.size))
        rows.append(_row(f"{CHURNED} peers, 50 come late, 20 die", CHURNED, found))
        good = good and not found.unfinished
    copies = max(float(row.figures[COPIES] or 0) for row in rows)
    if options.clients is None:
        whole = f"{crowds[-1]} peers: time over the fluid bound"
        rows.append(Row(label=whole, figures={"ratio": last, **at_most(last, RATIO_GOAL, counts=good)}))
    rows.append(Row(label="most copies of all", figures={COPIES: copies, **at_most(copies, COPIES_GOAL, counts=good)}))
    return Outcome(
        rows=[*rows, *PUBLISHED],
        material=f"{chunks} chunks of {chunk_bytes // MIB} MiB, peers and links 1 Gbit/s, seed {SEED}, virtual time",
        ok=good,
        summary=reached_of(row.figures for row in rows),
    )


def _patience_s(size: int) -> float:
    return AT_MOST * size / GIGABIT + 60


def _campus(chunks: int, chunk_bytes: int, count: int) -> Campus:
    campus = Campus(
        chunks=chunks,
        chunk_bytes=chunk_bytes,
        subnets=SUBNETS,
        seed=SEED,
        origin_bytes_per_s=SUBNETS * GIGABIT,
        link_bytes_per_s=GIGABIT,
        train_bytes=TRAIN_BYTES,
        think_s=0.002,
        steps=200_000_000,
    )
    for subnet in range(SUBNETS):
        campus.join(count // SUBNETS + (subnet < count % SUBNETS), subnet=subnet)
    return campus


def _churn(chunks: int, chunk_bytes: int, size: int) -> Campus:
    """Half as many again come while the image is on its way, and a fifth of the first die, some with their machine."""
    rng = random.Random(SEED)
    campus = _campus(chunks, chunk_bytes, CHURNED)
    limit_s = size / GIGABIT
    for subnet in range(SUBNETS):
        campus.join(CHURNED // 2 // SUBNETS, subnet=subnet, at=rng.uniform(0.1, 0.4) * limit_s, spread_s=limit_s / 2)
    for number in rng.sample(range(CHURNED), CHURNED // 5):
        campus.kill(number, at=rng.uniform(0.1, 0.9) * limit_s, vanish=rng.random() < 0.25)
    return campus


def _row(label: str, count: int, found: Swarming) -> Row:
    return Row(
        label=label,
        figures={
            "peers": float(count),
            "s": found.seconds,
            "bound s": found.bound_s,
            "ratio": found.ratio,
            COPIES: max(found.link_copies.values()),
            "copies from the origin": found.origin_copies,
            "chunks that came twice": found.duplicates,
            "messages of a member": found.messages / count,
        },
        note=f"unfinished: {len(found.unfinished)}" if found.unfinished else "",
    )


SCENARIO = Scenario(
    name="p2p-simnet",
    question="How does a swarm of 10 to 1,000 peers in ten subnets compare with what links allow, in virtual time?",
    run=run,
    size=1024 * MIB,
    runs=1,
    goal="1,000 peers: at most 1.10 times the fluid bound, at most 1.3 copies over the link of a subnet",
)
