"""Members are told what is true at the end, in an order that makes sense."""

from __future__ import annotations

from tests.transports.p2p.proto.test_messages import PEER, WELCOME
from transports.p2p.proto.limits import MAX_LIST_CHUNKS
from transports.p2p.proto.messages import Assign, Banned, Damaged, Forget, Meet, Release, Stop, Welcome
from transports.p2p.proto.outbox import Outbox


def test_nothing_is_said_twice_and_nothing_stays() -> None:
    out = Outbox()
    assert out.poll() == []
    out.assign(1, 4)
    out.assign(1, 5)
    out.assign(1, 4)
    assert out.poll() == [(1, Assign(chunks=(4, 5)))]
    assert out.poll() == []


def test_what_takes_each_other_back_is_not_said() -> None:
    out = Outbox()
    out.assign(1, 4)
    out.release(1, 4)
    out.meet(1, PEER)
    out.forget(1, PEER.id)
    assert out.poll() == [(1, Forget(ids=(7,)))]
    out.forget(1, PEER.id)
    out.meet(1, PEER)
    assert out.poll() == [(1, Meet(peers=(PEER,)))]
    out.meet(1, PEER)
    out.banned(1, PEER.id)
    assert out.poll() == [(1, Banned(ids=(7,)))]
    out.release(1, 4)
    out.assign(1, 4)
    assert out.poll() == [(1, Release(chunks=(4,))), (1, Assign(chunks=(4,)))]


def test_a_welcome_comes_first_and_voids_what_was_meant_before() -> None:
    out = Outbox()
    out.assign(1, 4)
    out.welcome(1, WELCOME)
    out.stop(1, "over")
    out.assign(1, 6)
    out.damaged(1, 2, "unreadable")
    out.meet(1, PEER)
    kinds = [type(message) for _, message in out.poll()]
    assert kinds == [Welcome, Meet, Assign, Damaged, Stop]


def test_long_lists_are_cut_and_who_is_gone_hears_nothing() -> None:
    out = Outbox()
    for chunk in range(MAX_LIST_CHUNKS + 3):
        out.assign(1, chunk)
        out.assign(2, chunk)
    out.drop(2)
    lengths = [len(message.chunks) for _, message in out.poll() if isinstance(message, Assign)]
    assert lengths == [MAX_LIST_CHUNKS, 3]
