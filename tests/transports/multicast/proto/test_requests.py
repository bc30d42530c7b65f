from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from transports.multicast.proto.burst import Totals
from transports.multicast.proto.demand import Demand
from transports.multicast.proto.heads import Heads
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import WHOLE_CHUNK
from transports.multicast.proto.members import ASKED_AT_ONCE, ASKED_PER_S, Member, Members
from transports.multicast.proto.repair import Repairs
from transports.multicast.proto.reports import Report, ReportFlags, entries_of
from transports.multicast.proto.requests import LATE_MORE, Requests

KEY = bytes(range(32))
LAYOUT = Layout(400 * 64, 64)
SEQUENCE = 1000
"""The next to be sent; chunk 1 went out as 1 … 400."""


@dataclass
class Desk:
    """Requests of a cast of five chunks with two members, chunk 1 sent, chunk 2 being sent."""

    members: Members = field(default_factory=Members)
    demand: Demand = field(default_factory=lambda: Demand(5))
    heads: Heads = field(default_factory=Heads)
    repairs: Repairs = field(default_factory=Repairs)
    totals: Totals = field(default_factory=Totals)

    def __post_init__(self) -> None:
        self.requests = Requests(
            cast_id=7,
            members=self.members,
            demand=self.demand,
            heads=self.heads,
            repairs=self.repairs,
            totals=self.totals,
        )
        for number in (10, 11):
            self.demand.add(self.members.add(number, KEY, 0.0).place, np.zeros(5, dtype=np.bool_))
        self.repairs.start(1, LAYOUT, 0)
        self.repairs.finish(1, 400)
        self.repairs.start(2, LAYOUT, 0)
        self.number = 0

    def member(self, number: int = 10) -> Member:
        found = self.members.get(number)
        assert found is not None
        return found

    def report(self, *entries: tuple[int, int, int], key: bytes = KEY, now: float = 1.0, **fields: int) -> bool:
        self.number += 1
        columns = [np.array([entry[n] for entry in entries], dtype=np.int64) for n in range(3)]
        values = {"cast_id": 7, "member": 10, "number": self.number, "as_of": 900}
        values |= {"span": 0, "received": 0, "overflow": 0}
        report = Report(**(values | fields), entries=entries_of(*columns))  # type: ignore[arg-type]
        return self.requests.handle_report(report.encode(key), sequence=SEQUENCE, current=2, now=now)


def test_deficits_become_repairs() -> None:
    desk = Desk()
    assert desk.report((1, 0, 3), (1, 2, 1))
    assert desk.repairs[1].due.tolist() == [3, 0, 1]
    assert desk.totals.reports == 1


@pytest.mark.parametrize(
    "entry", [(5, 0, 1), (1, 3, 1), (1, 0, 0), (1, 0, 135), (1, 1, 134), (0xFFFFFF, 255, 0)], ids=str
)
def test_deficits_that_cannot_be_are_counted_and_the_rest_holds(entry: tuple[int, int, int]) -> None:
    desk = Desk()
    assert desk.report(entry, (1, 2, 133))
    assert desk.repairs[1].due.tolist() == [0, 0, 133]
    assert desk.totals.entries_refused == 1
    assert desk.demand.chunks_wanted == 0


def test_who_says_what_it_lacks_of_a_chunk_in_several_places_is_understood() -> None:
    desk = Desk()
    assert desk.report((1, 0, 3), (3, 255, 1), (1, 2, 1), (5, 0, 1), (1, 1, 0))
    assert desk.repairs[1].due.tolist() == [3, 0, 1]
    assert desk.demand.chunks_wanted == 1
    assert desk.totals.entries_refused == 2


def test_who_asks_without_end_is_heard_only_so_often_and_keeps_nobody_else_from_asking() -> None:
    desk = Desk()
    for _ in range(int(ASKED_AT_ONCE) + 7):
        assert desk.report((1, 0, 3), missing_chunks=4)
    assert desk.totals.reports_passed_over == 7
    assert desk.member().missing_chunks == 4
    assert desk.report((1, 2, 5))
    assert desk.repairs[1].due.tolist() == [3, 0, 0]
    assert desk.report((1, 2, 5), member=11)
    assert desk.repairs[1].due.tolist() == [3, 0, 5]
    assert desk.report((1, 1, 4), now=1.0 + 1 / ASKED_PER_S)
    assert desk.repairs[1].due.tolist() == [3, 4, 5]


def test_reports_that_could_not_hold_everything_are_counted() -> None:
    desk = Desk()
    assert desk.report((1, 0, 3), flags=ReportFlags.PATIENT)
    assert desk.totals.reports_cut == 0
    assert desk.report((1, 2, 1), flags=ReportFlags.MORE | ReportFlags.PATIENT)
    assert desk.totals.reports_cut == 1


def test_refused_reports_change_nothing_but_a_counter() -> None:
    desk = Desk()
    refused = [
        desk.report((1, 0, 3), key=bytes(32)),
        desk.report((1, 0, 3), member=12),
        desk.report((1, 0, 3), cast_id=8),
        desk.report((1, 0, 3), as_of=SEQUENCE),
        desk.report((1, 0, 3), span=5, received=6),
        desk.report((1, 0, 3), span=901, received=6),
        desk.requests.handle_report(b"rubbish", sequence=SEQUENCE, current=None, now=1.0),
    ]
    assert refused == [False] * 7
    assert desk.totals.reports_refused == 7
    assert not desk.repairs.any_due
    assert desk.report((1, 0, 3))
    assert not desk.report((1, 0, 9), number=desk.number)


def test_a_report_of_an_earlier_membership_does_not_silence_the_later_one() -> None:
    desk = Desk()
    assert desk.report((1, 0, 3), number=70, span=900, received=850)
    desk.members.remove(10)
    desk.demand.add(desk.members.add(10, KEY, 2.0, since=950).place, np.zeros(5, dtype=np.bool_))
    assert not desk.report((1, 1, 3), number=71, as_of=950, span=950, received=900)  # repeated, or late on its way
    assert desk.report((1, 1, 5), number=1, as_of=951, span=1, received=1, now=2.0)
    assert desk.repairs[1].due.tolist() == [3, 5, 0]


def test_a_whole_chunk_is_asked_for_once() -> None:
    desk = Desk()
    desk.report((0, WHOLE_CHUNK, 0), (1, WHOLE_CHUNK, 0))
    desk.report((1, WHOLE_CHUNK, 0), number=50)
    assert desk.demand.counts.tolist() == [1, 1, 0, 0, 0]
    assert desk.requests.asked_by == {0: 0, 1: 0}


def test_what_is_under_way_is_not_asked_for() -> None:
    desk = Desk()
    desk.report((2, WHOLE_CHUNK, 0), (1, WHOLE_CHUNK, 0), as_of=399)
    assert desk.demand.chunks_wanted == 0
    assert desk.totals.entries_stale == 2


def test_deficits_of_a_chunk_long_forgotten_mean_the_whole() -> None:
    desk = Desk()
    desk.report((3, 1, 5))
    assert desk.demand.counts.tolist() == [0, 0, 0, 1, 0]


def test_who_waits_for_the_carousel_is_not_repaired() -> None:
    desk = Desk()
    desk.demand.ask(desk.member().place, 1)
    desk.report((1, 0, 100))
    assert not desk.repairs.any_due
    assert desk.totals.entries_stale == 1


def test_a_head_is_as_long_as_who_lacks_it_says_once_it_has_seen_the_whole_chunk() -> None:
    desk = Desk()
    place = desk.member().place
    desk.demand.ask(place, 1)
    desk.heads.handle_joined(place, 1, 44, desk.demand)
    desk.report((1, 0, 30), (1, 1, 30), (1, 2, 29), as_of=399)  # the rest of it is on its way
    desk.report((1, 0, 20), (1, 1, 20), (1, 2, 19))
    assert desk.heads.take(1, desk.demand).stop == 59


def test_who_wants_again_what_was_sent_pays_for_it_where_nobody_else_does() -> None:
    desk = Desk()
    desk.requests.handle_again(desk.member(), np.array([False, True, False, True, False]))
    assert desk.demand.counts.tolist() == [0, 1, 0, 1, 0]
    assert desk.requests.asked_by == {1: desk.member().place}
    assert (desk.member().missing_chunks, desk.member().done) == (2, False)


def test_a_lying_report_makes_no_head_longer_than_all_but_one_row() -> None:
    desk = Desk()
    place = desk.member().place
    desk.demand.ask(place, 1)
    desk.heads.handle_joined(place, 1, 44, desk.demand)
    desk.report(*[(1, 0, 100)] * 256)
    desk.report((1, 77, 100), (1, 1, 255))
    assert desk.totals.entries_refused == 2
    desk.report(*[(1, block, int(k)) for block, k in enumerate(LAYOUT.block_symbols())])
    assert desk.heads.take(1, desk.demand).stop == LAYOUT.symbols - 1


def test_who_saw_nothing_of_the_chunk_it_joined_in_is_sent_all_of_it() -> None:
    desk = Desk()
    place = desk.member().place
    desk.demand.ask(place, 1)
    desk.heads.handle_joined(place, 1, 44, desk.demand)
    desk.report((1, WHOLE_CHUNK, 0))
    assert desk.heads.take(1, desk.demand).stop is None


def test_what_a_late_member_will_lose_of_its_repairs_is_sent_with_them() -> None:
    desk = Desk()
    desk.member(10).lane, desk.member(10).loss = "late", 0.1
    desk.report((1, 0, 18), (1, 1, 1))
    assert desk.repairs[1].late.tolist() == [20 + LATE_MORE, 2 + LATE_MORE, 0]


def test_late_members_wait_and_moved_or_done_ones_get_nothing() -> None:
    desk = Desk()
    desk.member(10).lane = "late"
    desk.report((1, 0, 3))
    assert desk.repairs[1].late.tolist() == [3 + LATE_MORE, 0, 0]
    assert not desk.repairs.any_due
    desk.member(10).lane = "unicast"
    desk.report((1, 1, 3))
    desk.member(11).done = True
    desk.report((1, 1, 3), member=11)
    assert desk.totals.reports == 3
    assert not desk.repairs.any_due


def test_the_last_one_is_repaired_at_once_though_it_is_late() -> None:
    desk = Desk()
    desk.member(10).lane, desk.member(11).done = "late", True
    desk.report((1, 0, 3))
    assert desk.repairs[1].due.tolist() == [3 + LATE_MORE, 0, 0]
    assert not desk.repairs.any_late
