"""How long does a room of 8 take by its own peers at 200 Mbit/s, against aria2?"""

from __future__ import annotations

from bench.lab import shell
from bench.lab.swarming import MIB, run_room
from bench.scenario import Options, Outcome, Scenario

__all__ = ["SCENARIO"]


def run(options: Options) -> Outcome:
    """See run_room."""
    return run_room(options, rate_bits_per_s=200e6, goal=1.15)


SCENARIO = Scenario(
    name="p2p-room",
    question="How long does a room of 8 take by its own peers at 200 Mbit/s, against aria2?",
    run=run,
    size=256 * MIB,
    runs=3,
    goal="at most 1.15 times what the wire needs; the repository sends at most 1.25 copies",
    missing=shell.missing,
)
