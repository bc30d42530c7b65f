from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.ids import SessionId
from repod.proto.rooms import Rooms
from transports.control import RoomInfo

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")


def test_a_room_counts_all_clients_those_near_and_what_brings_the_others_chunks() -> None:
    rooms = Rooms()
    rooms.handle_open(A, image="i@1", subnet="s")
    assert rooms.room(A) == RoomInfo(sessions=1, near=1)
    rooms.handle_open(B, image="i@1", subnet="s")
    rooms.handle_open(C, image="i@1", subnet="t")
    rooms.handle_report(A, transport="multicast")
    rooms.handle_report(B, transport="multicast")
    assert rooms.room(A) == RoomInfo(sessions=3, near=2, others={"multicast": 1})
    assert rooms.room(C) == RoomInfo(sessions=3, near=1, others={"multicast": 2})
    rooms.handle_report(B, transport="p2p")
    assert rooms.room(A).others == {"p2p": 1}


def test_other_images_and_those_who_left_do_not_count() -> None:
    rooms = Rooms()
    rooms.handle_open(A, image="i@1", subnet="s")
    rooms.handle_open(B, image="i@2", subnet="s")
    rooms.handle_report(B, transport="unicast")
    assert rooms.room(A) == RoomInfo()
    rooms.handle_close(B)
    rooms.handle_close(B)
    assert rooms.room(B) == RoomInfo()
    assert len(rooms) == 1


STEP = st.tuples(st.sampled_from("+-r"), st.integers(0, 5), st.integers(0, 2), st.sampled_from(["", "x", "y"]))


@given(st.lists(STEP))
def test_counts_are_those_of_a_table_looked_through(
    steps: list[tuple[str, int, int, str]],
) -> None:
    rooms = Rooms()
    table: dict[int, list[str]] = {}
    for what, client, place, transport in steps:
        session = SessionId(str(client))
        if what == "+" and client not in table:
            table[client] = [f"i{place % 2}", f"s{place}", ""]
            rooms.handle_open(session, image=f"i{place % 2}", subnet=f"s{place}")
        elif what == "-":
            table.pop(client, None)
            rooms.handle_close(session)
        elif what == "r":
            rooms.handle_report(session, transport=transport)
            if client in table:
                table[client][2] = transport
    for client, (image, subnet, _) in table.items():
        room = [each for other, each in table.items() if each[0] == image]
        others = [each[2] for other, each in table.items() if each[0] == image and other != client and each[2]]
        assert rooms.room(SessionId(str(client))) == RoomInfo(
            sessions=len(room),
            near=sum(each[1] == subnet for each in room),
            others={name: others.count(name) for name in sorted(set(others))},
        )
    assert len(rooms) == len({image for image, _, _ in table.values()})
