from __future__ import annotations

from transports.multicast.proto.demotion import Demotion, Verdict
from transports.multicast.proto.members import Members
from transports.multicast.proto.reports import Report


def room(*losses: float) -> Members:
    members = Members()
    for number, loss in enumerate(losses):
        member = members.add(number, bytes(32), 0.0)
        member.loss, member.number, member.span = loss, 1, 10_000
    return members


def polls(demotion: Demotion, members: Members, *times: float, sent: int = 0) -> list[tuple[float, Verdict]]:
    return [(now, verdict) for now in times for verdict in demotion.poll(members, sent, now)]


def test_a_bad_cable_is_late_at_once_and_moved_after_a_while() -> None:
    members = room(0.0, 0.01, 0.0, 0.7)
    said = polls(Demotion(0.0), members, 0.0, 1.0, 4.9, 5.1, 6.0)
    assert [(now, verdict.member, verdict.lane) for now, verdict in said] == [(0.0, 3, "late"), (5.1, 3, "unicast")]
    assert "70%" in said[0][1].reason


def test_who_has_memory_for_its_holes_stays_late() -> None:
    members = room(0.0, 0.0, 0.0, 0.1)
    lossy = members.get(3)
    assert lossy is not None
    lossy.patient = True
    demotion = Demotion(0.0)
    assert [(now, verdict.lane) for now, verdict in polls(demotion, members, 0.0, 6.0, 60.0)] == [(0.0, "late")]
    lossy.patient = False
    assert [verdict.lane for _, verdict in polls(demotion, members, 60.2)] == ["unicast"]


def test_that_others_lose_more_meanwhile_does_not_make_it_better() -> None:
    members = room(0.0, 0.0, 0.0, 0.1)
    lossy = members.get(3)
    assert lossy is not None
    lossy.patient = True
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0)
    for other in (0, 1):
        members.remove(other)
    last = members.get(2)
    assert last is not None
    last.loss = 0.06  # peers take a part of its link
    assert polls(demotion, members, 1.0, 2.0) == []


def test_memory_does_not_help_who_loses_nearly_everything() -> None:
    members = room(0.0, 0.0, 0.0, 0.3)
    lossy = members.get(3)
    assert lossy is not None
    lossy.patient = True
    assert [verdict.lane for _, verdict in polls(Demotion(0.0), members, 0.0, 5.1)] == ["late", "unicast"]


def test_loss_that_all_share_makes_nobody_late() -> None:
    assert polls(Demotion(0.0), room(0.2, 0.25, 0.22, 0.3), 0.0, 5.0, 10.0) == []


def test_who_recovers_is_served_as_before() -> None:
    members = room(0.0, 0.0, 0.5)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0)
    bad = members.get(2)
    assert bad is not None
    bad.loss = 0.01
    ((_, verdict),) = polls(demotion, members, 1.0)
    assert verdict.lane == bad.lane == "multicast"


def test_the_last_one_costs_nobody_anything() -> None:
    members = room(0.0, 0.9)
    first = members.get(0)
    assert first is not None
    first.done = True
    assert polls(Demotion(0.0), members, 0.0, 6.0, 12.0) == []


def test_who_alone_causes_a_twentieth_of_what_is_sent_is_served_last() -> None:
    members = room(0.05, 0.05, 0.05)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, 2.9, sent=0)
    greedy = members.get(1)
    assert greedy is not None
    greedy.sole_packets = 60
    ((now, verdict),) = polls(demotion, members, 7.0, 8.0, sent=1000)
    assert (now, verdict.member, verdict.lane) == (8.0, 1, "late")
    assert "6%" in verdict.reason


def _strike(demotion: Demotion, members: Members, at: float, sent: int) -> list[tuple[float, Verdict]]:
    """The third member alone causes the next 3,000 packets, which take a second."""
    polls(demotion, members, at, sent=sent)
    greedy = members.get(2)
    assert greedy is not None
    greedy.sole_packets += 3000
    return polls(demotion, members, at + 1.1, sent=sent + 3000)


def test_one_stall_is_repaired_last_and_a_second_soon_after_moves() -> None:
    members, demotion = room(0.0, 0.0, 0.0), Demotion(0.0)
    polls(demotion, members, 0.0)
    assert [verdict.lane for _, verdict in _strike(demotion, members, 3.0, 3000)] == ["late"]
    assert polls(demotion, members, 14.0, sent=9000) == []
    ((_, back),) = polls(demotion, members, 14.2, sent=9000)
    assert back.lane == "multicast"
    greedy = members.get(2)
    assert greedy is not None
    greedy.sole_packets += 2000  # what was put off
    assert polls(demotion, members, 17.0, sent=15000) == []
    ((_, verdict),) = _strike(demotion, members, 17.3, 15000)
    assert verdict.lane == "unicast"
    assert "again" in verdict.reason


def test_a_stall_long_after_another_is_the_first_again() -> None:
    members, demotion = room(0.0, 0.0, 0.0), Demotion(0.0)
    polls(demotion, members, 0.0)
    _strike(demotion, members, 3.0, 3000)
    polls(demotion, members, 15.0, sent=9000)
    ((_, verdict),) = _strike(demotion, members, 40.0, 15000)
    assert verdict.lane == "late"


def test_who_has_not_reported_yet_is_excused() -> None:
    members, demotion = room(0.0, 0.0, 0.0), Demotion(0.0)
    starting = members.get(2)
    assert starting is not None
    starting.number = 0
    polls(demotion, members, 0.0)
    assert _strike(demotion, members, 8.0, 3000) == []
    starting.number = 1
    assert _strike(demotion, members, 10.0, 9000) == []
    assert starting.lane == "multicast"
    _strike(demotion, members, 13.2, 15000)
    assert starting.lane == "late"


def test_who_is_new_and_has_nothing_sent_but_its_repairs_is_served_last_before_others_would_leave() -> None:
    members, demotion = room(0.0, 0.0, 0.0), Demotion(0.0)
    greedy = members.get(2)
    assert greedy is not None
    polls(demotion, members, 0.0)
    said = []
    for tenth in range(1, 30):
        greedy.sole_packets += 700
        said += polls(demotion, members, tenth / 10, sent=750 * tenth)
    ((now, verdict),) = said
    assert (verdict.member, verdict.lane) == (2, "late")
    assert 2.0 <= now <= 2.2


def test_who_is_new_and_has_half_of_what_is_sent_repaired_is_excused() -> None:
    members, demotion = room(0.0, 0.0, 0.0), Demotion(0.0)
    starting = members.get(2)
    assert starting is not None
    polls(demotion, members, 0.0)
    for tenth in range(1, 30):
        starting.sole_packets += 375
        assert polls(demotion, members, tenth / 10, sent=750 * tenth) == []


def test_who_was_moved_may_return_when_its_wire_is_good() -> None:
    members = room(0.0, 0.0, 0.7)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, 5.1)
    bad = members.get(2)
    assert bad is not None
    assert bad.lane == "unicast"
    assert polls(demotion, members, 26.0) == []
    bad.loss = 0.0
    ((_, verdict),) = polls(demotion, members, 27.0)
    assert (verdict.member, verdict.lane) == (2, "multicast")
    demotion.forget(2)


def test_it_looks_ten_times_a_second() -> None:
    demotion = Demotion(0.0)
    polls(demotion, room(0.0), 0.0)
    assert polls(demotion, room(0.0, 0.0, 0.9), 0.05) == []


def test_who_asks_for_a_quarter_of_everything_is_not_watched_for_long() -> None:
    members = room(0.0, 0.0, 0.0)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, 2.9, sent=0)
    greedy = members.get(2)
    assert greedy is not None
    greedy.sole_packets = 300
    ((now, verdict),) = polls(demotion, members, 3.8, 4.0, sent=1000)
    assert (now, verdict.member, verdict.lane) == (4.0, 2, "late")


def test_a_share_of_few_packets_says_nothing() -> None:
    members = room(0.0, 0.0)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, 2.9, sent=0)
    stalled = members.get(1)
    assert stalled is not None
    stalled.sole_packets = 330
    assert polls(demotion, members, 4.0, 8.0, 13.0, sent=999) == []
    assert [verdict.member for _, verdict in polls(demotion, members, 13.1, sent=1000)] == [1]


def test_where_all_lose_much_nobody_is_moved_for_what_is_repaired() -> None:
    """A way too narrow for the rate: the rate follows. Who happens to ask first is not to blame."""
    members = room(0.5, 0.6, 0.55)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, sent=0)
    first = members.get(0)
    assert first is not None
    first.sole_packets = 6000
    assert polls(demotion, members, 2.0, 6.0, sent=8000) == []
    for member in members:
        member.loss = 0.0
    first.sole_packets = 9000
    assert polls(demotion, members, 6.1, 8.0, 10.9, sent=12000) == []
    polls(demotion, members, 11.1, sent=12000)
    first.sole_packets = 12000
    ((now, verdict),) = polls(demotion, members, 12.0, 12.2, sent=16000)
    assert (now, verdict.member, verdict.lane) == (12.0, 0, "late")


def test_where_two_cost_alike_nobody_is_moved() -> None:
    members = room(0.02, 0.02)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, 2.9, sent=0)
    for number, sole in enumerate((600, 700)):
        member = members.get(number)
        assert member is not None
        member.sole_packets = sole
    assert polls(demotion, members, 4.0, 8.0, sent=2000) == []
    worse = members.get(1)
    assert worse is not None
    worse.sole_packets = 3700
    ((_, verdict),) = polls(demotion, members, 13.1, sent=6000)
    assert verdict.member == 1


def test_what_a_joiner_missed_is_not_held_against_it() -> None:
    members = room(0.0, 0.0, 0.0)
    demotion = Demotion(0.0)
    polls(demotion, members, 0.0, sent=0)
    joiner = members.get(2)
    assert joiner is not None
    joiner.sole_packets = 5000
    assert polls(demotion, members, 1.0, 3.0, 4.9, 7.0, 10.0, sent=20000) == []


def test_a_burst_lost_at_the_start_makes_nobody_late() -> None:
    members, demotion, told = room(0.0, 0.0), Demotion(0.0), []
    joiner = members.add(9, bytes(32), 0.0)
    for number, (span, received) in enumerate([(256, 216), (1900, 1860), (3500, 3460), (5100, 5060)], 1):
        report = Report(cast_id=1, member=9, number=number, as_of=span, span=span, received=received, overflow=0)
        joiner.handle_report(report, number / 10)
        told += polls(demotion, members, number / 10 + 0.05)
    assert told == []


def test_a_bad_cable_is_known_after_the_first_thousand_packets() -> None:
    members, demotion = room(0.0, 0.0), Demotion(0.0)
    joiner = members.add(9, bytes(32), 0.0)
    for number, span in enumerate([256, 1900], 1):
        report = Report(cast_id=1, member=9, number=number, as_of=span, span=span, received=int(0.9 * span), overflow=0)
        joiner.handle_report(report, number / 10)
    assert [verdict.lane for _, verdict in polls(demotion, members, 0.3)] == ["late"]


def test_who_came_back_is_late_before_it_is_moved_again() -> None:
    members, demotion = room(0.0, 0.0, 0.7), Demotion(0.0)
    assert [verdict.lane for _, verdict in polls(demotion, members, 0.0, 5.1)] == ["late", "unicast"]
    bad = members.get(2)
    assert bad is not None
    bad.loss = 0.0
    assert [verdict.lane for _, verdict in polls(demotion, members, 10.0, 25.2)] == ["multicast"]
    bad.loss = 0.7
    assert [verdict.lane for _, verdict in polls(demotion, members, 25.4, 26.0)] == ["late"]
