"""A swarm in virtual time: who is told what, and what misbehaviour costs."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BusyError, ProtocolError
from tests.support.swarms import announce
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.p2p.proto.credentials import listen_key
from transports.p2p.proto.directory import ELSEWHERE, MAX_SUBNETS, REJOIN_S, Directory
from transports.p2p.proto.limits import DEGREE, NEED_AFTER_S
from transports.p2p.proto.messages import (
    Assign,
    BadChunk,
    Banned,
    Damaged,
    Forget,
    Meet,
    Release,
    Stop,
    SwarmMessage,
    Welcome,
)
from transports.p2p.proto.reputation import DOUBT_S
from transports.p2p.proto.rules import SwarmRules
from transports.p2p.proto.scatter import FRESH_PACES

CHUNKS = 40
SECRET = bytes(range(32))
Message = TypeVar("Message")


def _digest(chunk: int) -> bytes:
    return chunk.to_bytes(32, "big")


class Swarm:
    """A directory, and what it said to whom."""

    def __init__(self, chunks: int = CHUNKS, **rules: Any) -> None:
        self.chunks = chunks
        self.now = 0.0
        self.directory = Directory(
            chunks=chunks, digest=_digest, secret=SECRET, rules=SwarmRules(**rules), rng=random.Random(5)
        )
        self.heard: dict[int, list[SwarmMessage]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def join(self, name: str, *, host: str = "10.0.0.1", **fields: Any) -> int:
        message = announce(self.chunks, **fields)
        member = self.directory.handle_announce(name, message, address=host, now=self.now)
        self.run()
        return member

    def run(self, seconds: float = 0.0) -> None:
        self.now += seconds
        if seconds:
            self.directory.handle_timer(self.now)
        for member, message in self.directory.poll_messages():
            self.heard.setdefault(member, []).append(message)
        self.events += self.directory.poll_events()

    def have(self, member: int, *chunks: int) -> None:
        self.directory.handle_have(member, chunks, self.now)
        self.run()

    def bad(self, accuser: int, accused: int, chunk: int = 3) -> None:
        message = BadChunk(peer=accused, chunk=chunk, expected=_digest(chunk), got=bytes(32))
        self.directory.handle_bad_chunk(accuser, message, self.now)
        self.run()

    def told(self, member: int, kind: type[Message]) -> list[Message]:
        """Messages of a kind since the last time."""
        found = [message for message in self.heard.get(member, []) if isinstance(message, kind)]
        self.heard[member] = [message for message in self.heard.get(member, []) if not isinstance(message, kind)]
        return found

    def assigned(self, member: int) -> list[int]:
        return [chunk for message in self.told(member, Assign) for chunk in message.chunks]

    def met(self, member: int) -> set[int]:
        return {peer.id for message in self.told(member, Meet) for peer in message.peers}


def test_a_newcomer_is_welcomed_introduced_and_given_work() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b", host="10.0.0.2")
    (welcome,) = swarm.told(two, Welcome)
    assert (welcome.member, welcome.listen_key, welcome.subnet) == (two, listen_key(SECRET, two), "10.0.0.0/24")
    assert swarm.met(one) == {two}
    assert swarm.met(two) == {one}
    assert swarm.assigned(one) == [0, 1]
    assert swarm.assigned(two) == [2, 3]


def test_each_subnet_gets_each_chunk_once() -> None:
    swarm = Swarm()
    members = [swarm.join(f"s{n}", host=f"10.0.{n % 3}.{n}") for n in range(12)]
    taken: dict[str, list[int]] = {}
    for _ in range(CHUNKS):
        for member in members:
            known = swarm.directory.member(member)
            assert known is not None
            for chunk in swarm.assigned(member):
                taken.setdefault(known.subnet, []).append(chunk)
                for other in members:  # the subnet passes it on at once
                    near = swarm.directory.member(other)
                    if near is not None and near.subnet == known.subnet:
                        swarm.have(other, chunk)
    assert {subnet: sorted(chunks) for subnet, chunks in taken.items()} == {
        f"10.0.{n}.0/24": list(range(CHUNKS)) for n in range(3)
    }
    assert swarm.directory.counts["chunks_assigned"] == 3 * CHUNKS
    assert all(swarm.told(member, Stop) for member in members)


def test_a_late_joiner_costs_the_origin_nothing() -> None:
    swarm = Swarm()
    early = swarm.join("a")
    swarm.have(early, *range(CHUNKS))
    late = swarm.join("b")
    assert swarm.assigned(late) == []
    assert swarm.met(late) == {early}


def test_what_nobody_can_give_any_more_is_fetched_for_who_comes_late() -> None:
    swarm = Swarm()
    early = swarm.join("a")
    swarm.have(early, *range(CHUNKS))
    swarm.directory.handle_gone(early, (0, 1, 2, 2), swarm.now)
    late = swarm.join("b")
    assert swarm.assigned(late) == [0, 1]
    swarm.have(late, 0)
    assert swarm.assigned(late) == [2]


def test_who_dies_is_forgotten_and_its_chunks_are_fetched_by_others() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    swarm.have(one, 0)
    swarm.assigned(two)
    swarm.directory.handle_left(one, swarm.now, gone=True)
    swarm.run()
    assert swarm.told(two, Forget) == [Forget(ids=(one,))]
    swarm.have(two, 2)
    assert swarm.assigned(two) == [0, 1]


def test_who_is_back_at_once_was_never_away() -> None:
    swarm = Swarm()
    one, two = swarm.join("a", port=7), swarm.join("b")
    key = swarm.told(one, Welcome)[0].listen_key
    swarm.directory.handle_left(one, swarm.now, gone=False)
    swarm.run(REJOIN_S - 1)
    assert swarm.told(two, Forget) == []
    assert swarm.join("a", port=7) == one
    assert swarm.told(one, Welcome)[0].listen_key == key
    assert swarm.met(one) == {two}
    swarm.run(REJOIN_S)
    assert swarm.told(two, Forget) == []


def test_who_stays_away_is_forgotten() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    swarm.directory.handle_left(one, swarm.now, gone=False)
    swarm.run(REJOIN_S)
    assert swarm.told(two, Forget) == [Forget(ids=(one,))]
    assert len(swarm.directory) == 1


def test_who_is_back_after_a_long_time_has_its_number_until_its_session_is_over() -> None:
    swarm = Swarm()
    one, two = swarm.join("a", port=7), swarm.join("b")
    key = swarm.told(one, Welcome)[0].listen_key
    swarm.directory.handle_left(one, swarm.now, gone=False)
    swarm.run(REJOIN_S)
    assert swarm.told(two, Forget) == [Forget(ids=(one,))]
    assert swarm.join("a", port=8) == one
    assert swarm.told(one, Welcome)[0].listen_key == key
    assert [peer.port for message in swarm.told(two, Meet) for peer in message.peers if peer.id == one][-1] == 8
    swarm.directory.handle_left(one, swarm.now, gone=True)
    swarm.directory.handle_closed("a")
    assert swarm.join("a", port=8) != one


def test_who_comes_back_elsewhere_is_somebody_else() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    again = swarm.join("a", host="10.9.0.1")
    assert again != one
    assert swarm.told(two, Forget) == [Forget(ids=(one,))]
    assert len(swarm.directory) == 2


def test_a_slow_assignment_is_released_and_given_to_another() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    swarm.assigned(two)
    swarm.run(1.0)
    swarm.have(two, 2)
    swarm.run(3.5)
    assert sorted(chunk for message in swarm.told(one, Release) for chunk in message.chunks) == [0, 1]
    swarm.run(2.5)
    assert {0, 1} <= {*swarm.assigned(one), *swarm.assigned(two)}


def test_what_a_member_gives_back_is_looked_into() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    swarm.directory.handle_failed(one, (0, 30), "the lane broke", swarm.now)
    assert swarm.directory.poll_suspects() == [0]
    assert swarm.directory.poll_suspects() == []
    swarm.directory.handle_damaged(0, "unreadable", swarm.now)
    swarm.directory.handle_damaged(0, "unreadable", swarm.now)
    swarm.run(60)
    for member in (one, two, swarm.join("c")):
        assert swarm.told(member, Damaged) == [Damaged(chunk=0, reason="unreadable")]
        assert 0 not in swarm.assigned(member)[2:]


def test_need_is_met_by_somebody_who_has_it_or_by_the_origin() -> None:
    swarm = Swarm()
    members = [swarm.join(f"s{n}") for n in range(3 * DEGREE)]
    holder = members[0]
    asking = next(m for m in members[1:] if holder not in swarm.directory.neighbours(m))
    swarm.have(holder, 39)
    swarm.met(asking)
    swarm.assigned(asking)
    swarm.directory.handle_need(asking, (39,), swarm.now)
    swarm.run()
    assert swarm.met(asking) == {holder}
    assert swarm.assigned(asking) == []
    swarm.directory.handle_need(asking, (39, 39, 38), swarm.now)
    swarm.run()
    assert swarm.assigned(asking) == [39, 38]
    assert swarm.directory.counts["chunks_needed"] == 2


def test_who_is_introduced_is_not_doubted_before_it_could_give_anything() -> None:
    swarm = Swarm()
    members = [swarm.join(f"s{n}") for n in range(3 * DEGREE)]
    holder = members[0]
    asking = next(m for m in members[1:] if holder not in swarm.directory.neighbours(m))
    swarm.have(holder, *range(CHUNKS))
    scatter = swarm.directory.scatters["10.0.0.0/24"]
    for taker in [member for member in members if scatter.open_of(member)]:
        swarm.have(taker, *scatter.open_of(taker))
    swarm.run(NEED_AFTER_S)
    swarm.assigned(asking)
    swarm.directory.handle_need(asking, (39,), swarm.now)
    swarm.run()
    assert holder in swarm.met(asking)
    assert swarm.assigned(asking) == []


def test_need_for_what_came_just_now_doubts_nobody_and_brings_nothing_twice() -> None:
    # The chunk took long; who holds it said so to repod, and its word to the one who asks is still on the way.
    swarm = Swarm()
    slow, asking = swarm.join("a"), swarm.join("b")
    first = swarm.assigned(slow)[0]
    swarm.run(NEED_AFTER_S)
    swarm.have(slow, first)
    swarm.assigned(asking)
    swarm.directory.handle_need(asking, (first,), swarm.now)
    swarm.run()
    assert first not in swarm.assigned(asking)
    assert swarm.directory.counts["chunks_needed"] == 0
    swarm.run(FRESH_PACES * NEED_AFTER_S)
    swarm.directory.handle_need(asking, (first,), swarm.now)  # it lacks it still: now it does not get it from there
    swarm.run()
    assert first in swarm.assigned(asking)


def test_need_for_what_is_under_way_or_not_wanted_is_ignored() -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b", held=[5])
    swarm.assigned(two)
    swarm.directory.handle_need(two, (0, 5), swarm.now)
    swarm.run()
    assert swarm.assigned(two) == []
    swarm.directory.handle_done(one, swarm.now)
    swarm.directory.handle_need(one, (7,), swarm.now)
    swarm.run()
    assert swarm.assigned(one) == [0, 1]


def test_who_wants_more_than_it_announced_is_assigned_it() -> None:
    swarm = Swarm()
    one = swarm.join("a", wanted=range(10, CHUNKS))
    assert swarm.assigned(one)[:2] == [10, 11]
    swarm.directory.handle_failed(one, (10, 11), "", swarm.now)
    swarm.directory.handle_want(one, (0, 1), swarm.now)
    swarm.run(1.0)
    assert swarm.assigned(one)[0] == 0


def test_who_was_told_that_nobody_lacks_anything_may_still_want_something() -> None:
    swarm = Swarm()
    one = swarm.join("a", wanted=[7])
    swarm.have(one, 7)
    assert swarm.told(one, Stop)
    swarm.assigned(one)
    swarm.directory.handle_want(one, (3,), swarm.now)
    swarm.run()
    assert swarm.assigned(one) == [3]
    swarm.have(one, 3)
    assert swarm.told(one, Stop)


def test_who_wants_what_cannot_be_read_is_told_so() -> None:
    swarm = Swarm()
    one = swarm.join("a", wanted=[7])
    swarm.directory.handle_damaged(3, "unreadable", swarm.now)
    swarm.run()
    swarm.told(one, Damaged)
    swarm.directory.handle_want(one, (3,), swarm.now)
    swarm.run()
    assert swarm.told(one, Damaged) == [Damaged(chunk=3, reason="unreadable")]
    assert 3 not in swarm.assigned(one)


def test_one_word_parts_two_and_a_second_bans() -> None:
    swarm = Swarm()
    one, two, bad = (swarm.join(name) for name in "abc")
    swarm.bad(one, bad)
    assert swarm.told(one, Forget) == [Forget(ids=(bad,))]
    assert swarm.directory.neighbours(two) == {one, bad}
    swarm.bad(one, bad)
    assert swarm.directory.counts["accusations_ignored"] == 1
    swarm.bad(two, bad)
    assert swarm.told(one, Banned) == swarm.told(two, Banned) == [Banned(ids=(bad,))]
    assert [member for member, _ in swarm.directory.poll_expelled()] == [bad]
    assert swarm.directory.counts["peers_banned"] == 1
    with pytest.raises(ProtocolError, match="banned"):
        swarm.join("c")
    assert [name for name, _ in swarm.events].count("bad_chunk") == 2
    event = next(fields for name, fields in swarm.events if name == "bad_chunk")
    assert event["expected"] == _digest(3).hex()
    assert event["got"] == bytes(32).hex()
    swarm.directory.handle_left(bad, swarm.now, gone=True)
    swarm.directory.handle_closed("c")
    assert swarm.join("c") in swarm.met(one)


def test_who_leaves_and_comes_again_is_still_accused() -> None:
    swarm = Swarm()
    one, two, _, bad = (swarm.join(name) for name in "abcd")
    swarm.bad(one, bad)
    swarm.directory.handle_left(bad, swarm.now, gone=True)
    assert swarm.join("d") == bad
    swarm.bad(two, bad)
    assert [member for member, _ in swarm.directory.poll_expelled()] == [bad]


def test_with_two_members_one_word_is_enough() -> None:
    swarm = Swarm()
    one, bad = swarm.join("a"), swarm.join("b")
    swarm.bad(one, bad)
    assert swarm.told(one, Banned) == [Banned(ids=(bad,))]


@pytest.mark.parametrize(
    "fields",
    [{"expected": bytes(32)}, {"got": _digest(3)}, {"chunk": CHUNKS}],
    ids=["digest", "same", "chunk"],
)
def test_an_accusation_that_cannot_be_true_is_an_offence(fields: dict[str, Any]) -> None:
    swarm = Swarm()
    one, two = swarm.join("a"), swarm.join("b")
    message = BadChunk(peer=two, chunk=3, expected=_digest(3), got=bytes(32))
    with pytest.raises(ProtocolError):
        swarm.directory.handle_bad_chunk(one, msgspec.structs.replace(message, **fields), 0.0)


def test_a_slanderer_bans_nobody_but_itself() -> None:
    swarm = Swarm()
    liar, *honest = (swarm.join(name) for name in "abcdefg")
    for victim in honest:
        swarm.bad(liar, victim)
    known = [swarm.directory.member(member) for member in honest]
    assert not any(member is None or member.banned for member in known)
    assert [member for member, _ in swarm.directory.poll_expelled()] == [liar]


def test_who_is_lost_is_replaced() -> None:
    swarm = Swarm()
    members = [swarm.join(f"s{n}") for n in range(40)]
    one = members[-1]
    swarm.met(one)
    before = swarm.directory.neighbours(one)
    lost = min(before)
    swarm.directory.handle_lost(one, lost, "does not send", swarm.now)
    swarm.run()
    assert swarm.told(one, Forget) == [Forget(ids=(lost,))]
    assert lost not in swarm.directory.neighbours(one)
    swarm.directory.handle_lost(one, lost, "does not send", swarm.now)
    swarm.directory.handle_lost(one, 12345, "who?", swarm.now)
    assert swarm.directory.counts["peers_lost"] == 1


def test_a_forged_announcement_keeps_nobody_waiting_when_all_who_lack_say_so() -> None:
    swarm = Swarm()
    forger = swarm.join("forger", held=range(CHUNKS))
    one, two = swarm.join("one"), swarm.join("two")
    assert swarm.assigned(one) == swarm.assigned(two) == []
    swarm.directory.handle_lost(one, forger, "does not answer", swarm.now)
    swarm.run()
    assert swarm.assigned(one) == []
    swarm.directory.handle_lost(two, forger, "does not answer", swarm.now)
    swarm.run()
    assert swarm.assigned(one)
    assert swarm.assigned(two)
    assert swarm.directory.counts["peers_discredited"] == 1
    assert "peer_discredited" in {name for name, _ in swarm.events}
    late = swarm.join("late")
    assert forger not in swarm.met(late)


def test_who_gives_nobody_what_it_says_it_holds_delays_nobody_after_the_first_need() -> None:
    swarm = Swarm()
    liar = swarm.join("liar", held=range(CHUNKS))
    one, two = swarm.join("one"), swarm.join("two")
    swarm.directory.handle_need(one, tuple(range(8)), 4.0)
    swarm.run()
    for chunk in range(CHUNKS):
        assert chunk in swarm.assigned(one) or chunk in swarm.directory.scatters["10.0.0.0/24"].open_of(one)
        swarm.have(one, chunk)
        swarm.have(two, chunk)
    assert swarm.assigned(two) == []
    assert liar in swarm.directory.neighbours(one)


def test_who_was_not_believed_is_not_believed_for_announcing_itself_anew() -> None:
    swarm = Swarm()
    forger = swarm.join("forger", held=range(CHUNKS))
    one, two = swarm.join("one"), swarm.join("two")
    swarm.directory.handle_lost(one, forger, "does not answer", swarm.now)
    swarm.directory.handle_left(forger, swarm.now, gone=True)
    assert swarm.join("forger", held=range(CHUNKS)) == forger
    swarm.directory.handle_lost(two, forger, "does not answer", swarm.now)
    swarm.run()
    assert swarm.directory.counts["peers_discredited"] == 1
    for again in (0.0, DOUBT_S - 1):
        swarm.directory.handle_left(forger, swarm.now, gone=True)
        swarm.run(again)
        swarm.join("forger", held=range(CHUNKS))
        assert forger not in swarm.met(swarm.join(f"late {again}"))
        assert not swarm.directory.scatters["10.0.0.0/24"].holders(0)
    swarm.directory.handle_left(forger, swarm.now, gone=True)
    swarm.run(DOUBT_S)
    swarm.join("forger", held=range(CHUNKS))
    assert swarm.directory.scatters["10.0.0.0/24"].holders(0) == 1


def test_peers_may_go_when_nobody_lacks_anything_and_seeders_stay() -> None:
    swarm = Swarm(chunks=2)
    one, two, seeder = swarm.join("a"), swarm.join("b"), swarm.join("c", mode="seeder", held=[0, 1])
    swarm.have(one, 0, 1)
    assert swarm.told(one, Stop) == []
    swarm.directory.handle_done(two, swarm.now)
    swarm.run()
    assert len(swarm.told(one, Stop)) == len(swarm.told(two, Stop)) == 1
    assert swarm.told(seeder, Stop) == []


def test_the_last_one_who_leaves_frees_the_others() -> None:
    swarm = Swarm(chunks=2)
    one, two = swarm.join("a"), swarm.join("b")
    swarm.have(one, 0, 1)
    swarm.directory.handle_left(two, swarm.now, gone=False)
    swarm.run()
    assert len(swarm.told(one, Stop)) == 1


def test_a_peer_that_comes_complete_stays_for_those_who_come_later() -> None:
    swarm = Swarm(chunks=2)
    giver = swarm.join("a", held=[0, 1])
    swarm.run()
    assert swarm.told(giver, Stop) == []
    late = swarm.join("b")
    swarm.have(late, 0, 1)
    assert len(swarm.told(giver, Stop)) == 1


def test_figures_are_kept_by_subnet_when_members_have_gone() -> None:
    swarm = Swarm()
    one = swarm.join("a", subnet="lab 1")
    swarm.directory.handle_health(one, HEALTH)
    swarm.directory.handle_left(one, swarm.now, gone=True)
    traffic = swarm.directory.traffic["lab 1"]
    assert (traffic.same, traffic.other, traffic.origin) == (HEALTH.from_same, HEALTH.from_other, HEALTH.from_origin)


# ------------------------------------------------------------------ misbehaviour


@pytest.mark.parametrize("call", ["handle_have", "handle_gone", "handle_need", "handle_want", "handle_failed"])
def test_chunks_beyond_the_image_are_an_offence(call: str) -> None:
    swarm = Swarm()
    one = swarm.join("a")
    arguments = ((0, CHUNKS), "why", 0.0) if call == "handle_failed" else ((0, CHUNKS), 0.0)
    with pytest.raises(ProtocolError):
        getattr(swarm.directory, call)(one, *arguments)
    known = swarm.directory.member(one)
    assert known is not None
    assert not known.held


def test_nothing_is_heard_of_who_did_not_announce_itself() -> None:
    swarm = Swarm()
    with pytest.raises(ProtocolError):
        swarm.directory.handle_have(7, (1,), 0.0)
    swarm.directory.handle_left(7, 0.0, gone=True)


def test_a_map_of_another_image_is_an_offence_and_changes_nothing() -> None:
    swarm = Swarm()
    with pytest.raises(ProtocolError):
        swarm.directory.handle_announce("a", announce(CHUNKS + 9), address="10.0.0.1", now=0.0)
    assert len(swarm.directory) == 0


def test_a_swarm_takes_so_many_and_no_more() -> None:
    swarm = Swarm(max_members=3)
    for name in "abc":
        swarm.join(name)
    with pytest.raises(BusyError):
        swarm.join("d")
    swarm.join("a")
    assert swarm.directory.counts["limit_max_members"] == 1


def test_made_up_subnets_end_up_in_one() -> None:
    swarm = Swarm()
    for number in range(MAX_SUBNETS + 50):
        member = swarm.join(f"s{number}", subnet=f"subnet {number}")
        swarm.directory.handle_health(member, HEALTH)
    assert len(swarm.directory.scatters) == MAX_SUBNETS + 1
    assert ELSEWHERE in swarm.directory.scatters
    for member in [each.id for each in swarm.directory]:
        swarm.directory.handle_left(member, swarm.now, gone=True)
    assert len(swarm.directory.scatters) == 0
    for number in range(50):
        swarm.directory.handle_health(swarm.join(f"t{number}", subnet=f"other {number}"), HEALTH)
    assert len(swarm.directory.traffic) <= MAX_SUBNETS + 1


def test_a_flood_of_announcements_keeps_one_member() -> None:
    swarm = Swarm()
    swarm.join("b")
    for number in range(200):
        swarm.join("a", port=1 + number % 2, subnet=f"s{number % 5}")
    assert len(swarm.directory) == 2
    assert sum(len(scatter) for scatter in swarm.directory.scatters.values()) == 2


def test_a_room_of_many_is_a_graph_that_hangs_together() -> None:
    swarm = Swarm()
    members = [swarm.join(f"s{n}") for n in range(100)]
    degrees = [len(swarm.directory.neighbours(member)) for member in members]
    assert min(degrees) >= DEGREE // 2
    for gone in members[::3]:
        swarm.directory.handle_left(gone, swarm.now, gone=True)
    left = [member for n, member in enumerate(members) if n % 3]
    found, todo = {left[0]}, [left[0]]
    while todo:
        new = swarm.directory.neighbours(todo.pop()) - found
        found |= new
        todo += new
    assert found == set(left)


moves = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "leave", "away", "have", "gone", "failed", "need", "want", "bad", "lost", "done", "time"]
        ),
        st.integers(0, 7),
        st.integers(0, 7),
        st.integers(0, 12),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(moves)
def test_whatever_members_say_what_they_are_told_makes_sense(steps: list[tuple[str, int, int, int]]) -> None:
    swarm = Swarm(chunks=12, streams=3)
    ids: dict[int, int] = {}
    met: dict[int, set[int]] = {}
    open_: dict[int, set[int]] = {}

    def note(messages: Iterable[tuple[int, SwarmMessage]]) -> None:
        for member, message in messages:
            known, under_way = met.setdefault(member, set()), open_.setdefault(member, set())
            match message:
                case Welcome():
                    known.clear()
                    under_way.clear()
                case Meet():
                    assert member not in {peer.id for peer in message.peers}
                    known |= {peer.id for peer in message.peers}
                case Forget() | Banned():
                    known -= set(message.ids)
                case Assign():
                    assert not under_way & set(message.chunks)
                    under_way |= set(message.chunks)
                case Release():
                    assert set(message.chunks) <= under_way
                    under_way -= set(message.chunks)

    for kind, first, second, chunk in steps:
        directory, one, two = swarm.directory, ids.get(first, 0), ids.get(second, 0)
        with contextlib.suppress(ProtocolError):
            match kind:
                case "join":
                    ids[first] = directory.handle_announce(
                        f"s{first}",
                        announce(12, held=range(min(chunk, 12)), port=first % 4, subnet=f"x{first % 2}"),
                        address="10.0.0.1",
                        now=swarm.now,
                    )
                case "leave" | "away":
                    directory.handle_left(one, swarm.now, gone=kind == "leave")
                    open_.pop(one, None)
                case "have":
                    directory.handle_have(one, (chunk,), swarm.now)
                    open_.get(one, set()).discard(chunk)
                case "gone":
                    directory.handle_gone(one, (chunk,), swarm.now)
                case "failed":
                    directory.handle_failed(one, (chunk,), "", swarm.now)
                    open_.get(one, set()).discard(chunk)
                case "need":
                    directory.handle_need(one, (chunk,), swarm.now)
                case "want":
                    directory.handle_want(one, (chunk,), swarm.now)
                case "bad":
                    message = BadChunk(peer=max(1, two), chunk=3, expected=_digest(3), got=bytes(32))
                    directory.handle_bad_chunk(one, message, swarm.now)
                case "lost":
                    directory.handle_lost(one, two, "", swarm.now)
                case "done":
                    directory.handle_done(one, swarm.now)
                    open_.pop(one, None)
                case "time":
                    swarm.now += chunk
                    directory.handle_timer(swarm.now)
        note(directory.poll_messages())
        for member in directory:
            if not member.here or member.banned:
                continue
            scatter = directory.scatters[member.subnet]
            assert set(scatter.open_of(member.id)) == open_.get(member.id, set())
            for other in directory.neighbours(member.id):
                known = directory.member(other)
                assert known is not None
                if known.serves and len(known.lost_by) < 3:
                    assert other in met[member.id]
