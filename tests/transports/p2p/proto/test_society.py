"""Members are told whom they may ask, and nobody else is told their credentials."""

from __future__ import annotations

import random
from typing import Any

from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.credentials import credential, listen_key
from transports.p2p.proto.limits import BRIDGES, DEGREE
from transports.p2p.proto.member import Member
from transports.p2p.proto.messages import Banned, Forget, Meet, PeerAddress
from transports.p2p.proto.outbox import Outbox
from transports.p2p.proto.society import LOST_BY, Society


class SocietyRoom:
    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.out = Outbox()
        self.society = Society(self.members, self.out, random.Random(1))

    def add(self, number: int, subnet: str = "x", **fields: Any) -> Member:
        member = Member(
            id=number,
            session=f"s{number}",
            key=listen_key(bytes(32), number),
            host=f"10.0.0.{number}",
            port=fields.pop("port", 1000 + number),
            subnet=subnet,
            mode=fields.pop("mode", "peer"),
            wanted=ChunkSet.of(4, range(4)),
            held=ChunkSet.of(4, fields.pop("held", ())),
            order=number,
        )
        self.members[number] = member
        self.society.introduce(member)
        return member

    def told(self) -> dict[int, list[PeerAddress]]:
        """Meetings, by who is told."""
        found: dict[int, list[PeerAddress]] = {}
        for member, message in self.out.poll():
            if isinstance(message, Meet):
                found.setdefault(member, []).extend(message.peers)
        return found


def test_both_are_told_each_other_with_the_credential_of_their_direction() -> None:
    room = SocietyRoom()
    one, two = room.add(1), room.add(2)
    told = room.told()
    assert [peer.id for peer in told[1]] == [2]
    assert told[1][0] == PeerAddress(
        id=2,
        host="10.0.0.2",
        port=1002,
        credential=credential(two.key, 1),
        same_subnet=True,
        bridge=False,
    )
    assert told[2][0].credential == credential(one.key, 2)
    assert room.society.neighbours(one) == [two]


def test_who_serves_nobody_is_told_others_and_others_are_not_told_it() -> None:
    room = SocietyRoom()
    room.add(1)
    room.add(2, mode="leecher")
    room.add(3, port=0)
    told = room.told()
    assert {number: [peer.id for peer in peers] for number, peers in told.items()} == {2: [1], 3: [1]}


def test_bridges_lead_to_other_subnets() -> None:
    room = SocietyRoom()
    for number in range(1, 6):
        room.add(number, "x")
    room.told()
    far = room.add(9, "y")
    told = room.told()
    assert len(told[9]) == len(far.bridges) == BRIDGES
    assert all(peer.bridge and not peer.same_subnet for peer in told[9])
    for peer in told[9]:
        assert peer.credential == credential(room.members[peer.id].key, 9, far=True)
    gone = room.members.pop(min(far.bridges))
    room.society.remove(gone, banned=False)
    heard = room.out.poll()
    assert (9, Forget(ids=(gone.id,))) in heard
    assert gone.id not in far.bridges
    assert len(far.bridges) == BRIDGES
    assert {peer.id for number, message in heard if number == 9 and isinstance(message, Meet) for peer in message.peers}


def test_who_was_here_first_is_told_of_the_first_of_another_subnet() -> None:
    room = SocietyRoom()
    first = room.add(1, "x")
    assert not first.bridges
    room.add(2, "y")
    assert first.bridges == {2}
    room.add(3, "y")
    room.add(4, "z")
    assert first.bridges == {2, 3}
    assert {peer.id for peer in room.told()[1]} == {2, 3}


def test_bridges_lead_to_as_many_subnets_as_there_are() -> None:
    room = SocietyRoom()
    for number in range(1, 30):
        room.add(number, "x")
    room.add(30, "y")
    last = room.add(31, "z")
    assert {room.members[bridge].subnet for bridge in last.bridges} == {"x", "y"}


def test_the_banned_are_made_known_to_everybody() -> None:
    room = SocietyRoom()
    bad = room.add(1)
    room.add(2)
    room.add(3, "y")
    room.told()
    room.society.remove(bad, banned=True)
    assert [message for _, message in room.out.poll() if not isinstance(message, Meet)] == [Banned(ids=(1,))] * 2
    assert room.society.neighbours(bad) == []


def test_two_who_part_forget_each_other() -> None:
    room = SocietyRoom()
    one, two, far = room.add(1), room.add(2), room.add(3, "y")
    room.told()
    assert room.society.part(one, two)
    assert room.out.poll() == [(1, Forget(ids=(2,))), (2, Forget(ids=(1,)))]
    assert not room.society.part(one, two)
    assert not room.society.part(one, far)
    assert not room.society.connect(one, two)


def test_who_answers_nobody_is_introduced_to_nobody() -> None:
    room = SocietyRoom()
    deaf = room.add(1)
    deaf.lost_by = set(range(100, 100 + LOST_BY))
    room.add(2)
    assert [peer.id for peer in room.told()[1]] == [2]


def test_a_holder_is_somebody_who_serves() -> None:
    room = SocietyRoom()
    one = room.add(1)
    room.add(2, held=[3], mode="leecher")
    room.add(3, "y", held=[3])
    assert room.society.find_holder(one, 3) is None
    holder = room.add(4, held=[3])
    assert room.society.find_holder(one, 3) is holder
    assert room.society.find_holder(holder, 3) is None
    assert room.society.find_holder(one, 2) is None


def test_who_lost_a_neighbour_gets_another() -> None:
    room = SocietyRoom()
    members = [room.add(number) for number in range(1, 3 * DEGREE)]
    room.told()
    poor = min(members, key=lambda member: len(room.society.neighbours(member)))
    gone = room.society.neighbours(poor)[0]
    before = {member.id for member in room.society.neighbours(poor)}
    del room.members[gone.id]
    room.society.remove(gone, banned=False)
    met = room.told()[poor.id]
    assert met
    assert not before & {peer.id for peer in met}


def test_who_did_not_answer_three_is_introduced_to_nobody() -> None:
    room = SocietyRoom()
    silent = room.add(1)
    for complaints in range(LOST_BY + 1):
        room.told()
        late = room.add(10 + complaints)
        assert (silent.id in [peer.id for peer in room.told().get(late.id, [])]) == (complaints < LOST_BY)
        silent.lost_by.add(late.id)


def test_who_gives_nothing_to_anybody_who_waits_is_forsaken() -> None:
    room = SocietyRoom()
    liar, one, two = room.add(1), room.add(2), room.add(3)
    far = room.add(4, "y")
    assert not room.society.is_forsaken(liar)
    liar.lost_by = {one.id}
    assert not room.society.is_forsaken(liar)
    two.wanted = ChunkSet.of(4)
    assert room.society.is_forsaken(liar)  # the other lacks nothing, and one of elsewhere does not ask
    one.wanted = ChunkSet.of(4)
    assert not room.society.is_forsaken(liar)
    liar.lost_by = set(range(50, 50 + LOST_BY))
    assert room.society.is_forsaken(liar)
    assert not room.society.is_forsaken(far)


def test_who_says_to_hold_whatever_a_neighbour_needs_is_named() -> None:
    room = SocietyRoom()
    room.add(1, held=range(4))
    room.add(2, held=[0])
    room.add(3, held=range(4), mode="leecher")
    room.add(4, "elsewhere", held=range(4))
    asking = room.add(5)
    assert sorted(room.society.claimants(asking, [0])) == [1, 2]
    assert room.society.claimants(asking, [0, 1]) == [1]
    asking.wanted = ChunkSet.of(4, [3])
    assert room.society.claimants(asking, [0, 1]) == []
