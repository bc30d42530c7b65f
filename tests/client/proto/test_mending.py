from __future__ import annotations

from client.proto.mending import CHUNKS_MAX, PATIENCE_RESTING_S, PATIENCE_S, PAUSE_FIRST_S, PAUSE_MAX_S, ROOM, Mending


def test_it_begins_with_one_chunk_and_grows_with_each_that_comes() -> None:
    mending = Mending(0.0)
    assert mending.poll(0.0, left=0, loss=0.0, resting=False) == 1
    assert mending.poll(0.1, left=1, loss=0.0, resting=False) == 0
    for _ in range(20):
        mending.handle_arrived(0.2)
    assert mending.poll(0.3, left=0, loss=0.0, resting=False) == CHUNKS_MAX


def test_a_cast_that_rests_leaves_the_link_to_it_at_once() -> None:
    assert Mending(0.0).poll(0.0, left=0, loss=0.0, resting=True) == CHUNKS_MAX


def test_loss_that_peers_bring_stops_it_for_twice_as_long_each_time() -> None:
    mending = Mending(0.0)
    now, pause = 0.0, PAUSE_FIRST_S
    for _ in range(8):
        assert mending.poll(now, left=0, loss=0.0, resting=False) == 1
        assert mending.poll(now + 0.1, left=1, loss=0.05, resting=False) == 0
        assert mending.poll(now + 0.1 + 0.9 * pause, left=0, loss=0.0, resting=False) == 0
        now += 0.2 + pause
        pause = min(PAUSE_MAX_S, 2 * pause)
    assert mending.pauses == 8


def test_loss_there_was_without_peers_is_not_theirs() -> None:
    mending = Mending(0.0)
    assert mending.poll(0.0, left=0, loss=0.1, resting=False) == 1
    assert mending.poll(0.1, left=1, loss=0.11, resting=False) == 0
    assert mending.pauses == 0


def test_what_peers_do_not_bring_goes_back_after_a_while() -> None:
    mending = Mending(0.0)
    mending.poll(0.0, left=0, loss=0.0, resting=False)
    assert not mending.poll_return(PATIENCE_S - 0.1, left=1, resting=False)
    mending.handle_arrived(1.0)
    assert not mending.poll_return(PATIENCE_S, left=1, resting=False)
    assert mending.poll_return(1.0 + PATIENCE_S, left=1, resting=False)
    assert mending.poll(1.0 + PATIENCE_S, left=0, loss=0.0, resting=True) == 0
    assert not mending.poll_return(100.0, left=0, resting=False)
    assert mending.returns == 1


def test_a_cast_that_rests_gets_back_sooner_what_peers_do_not_bring() -> None:
    mending = Mending(0.0)
    mending.poll(0.0, left=0, loss=0.0, resting=True)
    assert not mending.poll_return(PATIENCE_RESTING_S - 0.1, left=1, resting=True)
    assert mending.poll_return(PATIENCE_RESTING_S, left=1, resting=True)


def test_a_fresh_cast_that_lost_by_it_is_left_alone() -> None:
    mending = Mending(0.0)
    assert mending.poll(-1.0, left=0, loss=0.0, resting=False, fresh=True) == 0
    assert mending.poll(0.0, left=0, loss=0.0, resting=False, fresh=True) == 1
    mending.handle_arrived(0.3)
    assert mending.poll(0.4, left=0, loss=0.14, resting=False, fresh=True) == 0  # it came before the loss was seen
    assert mending.pauses == 1
    assert [mending.poll_break(), mending.poll_break()] == [True, False]
    assert mending.poll(60.0, left=0, loss=0.0, resting=False, fresh=True) == 0
    assert mending.poll(60.2, left=0, loss=0.0, resting=False) == 1


def test_a_cast_that_lost_by_it_is_left_alone_when_it_repeats_as_fast() -> None:
    def lost_by_it() -> Mending:
        mending = Mending(0.0)
        mending.poll(0.0, left=0, loss=0.0, resting=False, fresh=True, pace=25e6)
        assert mending.poll(1.0, left=0, loss=0.0, resting=False, fresh=True, pace=25e6) == 1
        assert mending.poll(1.2, left=1, loss=0.05, resting=False, fresh=True, pace=25e6) == 0
        return mending

    mending = lost_by_it()
    assert mending.poll(1.2 + 0.9 * PAUSE_MAX_S, left=0, loss=0.0, resting=False, pace=25e6) == 0
    assert mending.poll(1.2 + PAUSE_MAX_S, left=0, loss=0.0, resting=False, pace=25e6) == 1
    mending = lost_by_it()
    assert mending.poll(1.4, left=0, loss=0.0, resting=False, pace=(ROOM + 0.01) * 25e6) == 0
    assert mending.poll(1.6, left=0, loss=0.0, resting=False, pace=(ROOM - 0.01) * 25e6) == 1
    assert lost_by_it().poll(1.4, left=0, loss=0.0, resting=True, pace=25e6) == CHUNKS_MAX


def test_the_pause_is_short_again_only_when_as_much_as_can_be_came_without_loss() -> None:
    mending = Mending(0.0)
    now = 0.0
    for pause in (PAUSE_FIRST_S, 2 * PAUSE_FIRST_S):
        assert mending.poll(now, left=0, loss=0.0, resting=False) == 1
        mending.handle_arrived(now)
        assert mending.poll(now, left=1, loss=0.05, resting=False) == 0
        assert mending.poll(now + 0.9 * pause, left=0, loss=0.0, resting=False) == 0
        now += pause
    for _ in range(CHUNKS_MAX):
        mending.handle_arrived(now)
    mending.poll(now, left=1, loss=0.05, resting=False)
    now += PAUSE_FIRST_S
    assert mending.poll(now, left=0, loss=0.0, resting=False) == 1


def test_a_fresh_cast_that_loses_nothing_by_it_is_mended_more_and_more() -> None:
    mending = Mending(0.0)
    assert mending.poll(0.0, left=0, loss=0.0, resting=False, fresh=True) == 0
    for now in (1.0, 2.0, 3.0):
        assert mending.poll(now, left=0, loss=0.0, resting=False, fresh=True) == now
        mending.handle_arrived(now)


def test_a_wire_that_loses_much_loses_now_more_now_less() -> None:
    mending = Mending(0.0)
    mending.poll(0.0, left=0, loss=0.0, resting=False, fresh=True)  # nothing is known of it yet
    assert mending.poll(1.0, left=0, loss=0.1, resting=False, fresh=True) == 1
    assert mending.poll(1.2, left=1, loss=0.15, resting=False, fresh=True) == 0
    assert mending.pauses == 0
    mending.poll(1.4, left=1, loss=0.24, resting=False, fresh=True)
    assert mending.pauses == 1
