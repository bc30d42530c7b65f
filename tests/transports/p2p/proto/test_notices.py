"""What a shell is told beside messages is told once, and bounded."""

from __future__ import annotations

from tests.transports.p2p.proto.test_society import SocietyRoom
from transports.p2p.proto.notices import EVENTS_MAX, Notices


def test_events_name_the_member_and_are_told_once() -> None:
    notices, member = Notices(), SocietyRoom().add(7)
    notices.tell("peer_lost", member, reason="slow")
    assert notices.poll_events() == [
        ("peer_lost", {"session": "s7", "host": "10.0.0.7", "subnet": "x", "reason": "slow"})
    ]
    assert notices.poll_events() == []
    notices.expel(member, "banned")
    assert notices.poll_expelled() == [(7, "banned")]
    assert notices.poll_expelled() == []


def test_more_events_than_anybody_reads_are_dropped_and_counted() -> None:
    notices, member = Notices(), SocietyRoom().add(7)
    for number in range(EVENTS_MAX + 5):
        notices.tell("peer_lost", member, number=number)
    events = notices.poll_events()
    assert len(events) == EVENTS_MAX
    assert events[-1][1]["number"] == EVENTS_MAX + 4
    assert notices.counts["limit_events"] == 5


def test_suspects_are_named_once_and_so_many_at_a_time() -> None:
    notices = Notices()
    notices.suspect([5, 3, 5])
    assert notices.poll_suspects() == [3, 5]
    notices.suspect(list(range(EVENTS_MAX + 9)))
    assert notices.poll_suspects() == list(range(EVENTS_MAX))
    assert notices.poll_suspects() == []
