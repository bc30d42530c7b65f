from __future__ import annotations

import pytest

from bench.lab.classroom import ClientRun, Transfer
from bench.lab.counters import PathCounters
from bench.lab.race import Finish
from bench.lab.swarming import copies_row, survivors, with_offload
from bench.lab.topology import room

COUNTED = dict.fromkeys(PathCounters.__dataclass_fields__, 0)


def make(*, sent: int, codes: dict[str, int]) -> Transfer:
    runs = {
        host: ClientRun(
            host=host,
            finish=Finish(code=code, started_s=0, ended_s=1.0 + number, cpu_s=0),
            events=[],
            last_event_s=0,
            complaint="died" if code else "",
        )
        for number, (host, code) in enumerate(codes.items())
    }
    moved = {"server": PathCounters(**{**COUNTED, "from_bytes": sent})}
    return Transfer(clients=runs, server_cpu_s=0, moved=moved)


def test_trains_stay_whole_on_the_rig_of_swarms() -> None:
    topology = with_offload(room(2, rate_bits_per_s=1e6))
    assert (topology.segmentation, topology.gro) == (True, False)


@pytest.mark.parametrize(("sent", "word"), [(100, "yes"), (130, "NO")])
def test_copies_are_what_left_the_repository(sent: int, word: str) -> None:
    row = copies_row("x", [make(sent=sent, codes={"c1": 0})], image_bytes=100, goal=1.25)
    assert row.figures["wire / image bytes"] == sent / 100
    assert row.figures["reached"] == word


def test_a_transfer_that_failed_reaches_nothing() -> None:
    row = copies_row("x", [make(sent=100, codes={"c1": 1})], image_bytes=100, goal=1.25)
    assert row.figures["reached"] == "NO"


def test_who_was_killed_is_not_waited_for() -> None:
    left = survivors(make(sent=0, codes={"c1": 0, "c2": -9}), ["c2"])
    assert left.seconds == 1.0
    assert left.complaints == ""
