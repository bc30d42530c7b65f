"""How long does a room of 8 take by its own peers at 1 Gbit/s, against aria2?"""

from __future__ import annotations

from bench.lab import shell
from bench.lab.swarming import MIB, run_room
from bench.scenario import Options, Outcome, Scenario

__all__ = ["SCENARIO"]


def run(options: Options) -> Outcome:
    """See run_room."""
    return run_room(options, rate_bits_per_s=1e9, goal=1.5)


SCENARIO = Scenario(
    name="p2p-gigabit",
    question="How long does a room of 8 take by its own peers at 1 Gbit/s, against aria2?",
    run=run,
    size=1024 * MIB,
    runs=3,
    goal="at most 1.5 times what the wire needs; the repository sends at most 1.25 copies",
    missing=shell.missing,
)
