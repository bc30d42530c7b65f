"""Without repod a member waits for what still moves, and not for ever."""

from __future__ import annotations

from transports.p2p.proto.hope import GIVE_UP_S, REFUSED_S, Hope


def test_while_repod_is_there_nothing_is_lost() -> None:
    hope = Hope()
    assert not hope.is_lost(1e9, moved_at=0.0, peers=False, refused=False)
    hope.handle_repod(False, 1.0)
    hope.handle_repod(True, 2.0)
    assert not hope.is_lost(1e9, moved_at=0.0, peers=True, refused=False)


def test_as_long_as_something_moves_a_member_stays() -> None:
    hope = Hope()
    hope.handle_repod(False, 10.0)
    assert not hope.is_lost(10.0 + GIVE_UP_S - 0.1, moved_at=0.0, peers=True, refused=False)
    assert not hope.is_lost(100.0, moved_at=95.0, peers=True, refused=False)
    assert hope.is_lost(95.0 + GIVE_UP_S, moved_at=95.0, peers=True, refused=False)


def test_saying_again_that_repod_is_gone_begins_nothing_anew() -> None:
    hope = Hope()
    hope.handle_repod(False, 10.0)
    hope.handle_repod(False, 19.0)
    assert hope.is_lost(10.0 + GIVE_UP_S, moved_at=0.0, peers=True, refused=False)


def test_who_is_alone_or_not_known_any_more_asks_for_another_session_soon() -> None:
    hope = Hope()
    hope.handle_repod(False, 10.0)
    for peers, refused in ((False, False), (True, True)):
        assert not hope.is_lost(10.0 + REFUSED_S / 2, moved_at=0.0, peers=peers, refused=refused)
        assert hope.is_lost(10.0 + REFUSED_S, moved_at=0.0, peers=peers, refused=refused)
    assert not hope.is_lost(20.0, moved_at=20.0, peers=True, refused=True)
