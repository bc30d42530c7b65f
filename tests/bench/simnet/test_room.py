from __future__ import annotations

import numpy as np
import pytest

from bench.simnet.client import ClientSettings
from bench.simnet.path import PathSettings
from bench.simnet.room import Room

MIB = 1 << 20


def test_a_room_without_losses_takes_what_the_wire_takes() -> None:
    room = Room(chunks=4, chunk_bytes=MIB)
    room.join(3)
    outcome = room.until_done()
    assert sorted(outcome.done_s) == [0, 1, 2]
    assert outcome.seconds == pytest.approx(outcome.totals.wire_bytes / 25e6, rel=0.02)
    assert outcome.wire_share < 1.07
    assert outcome.unfinished == []


def test_chunks_may_differ_in_length_and_be_partly_here_already() -> None:
    room = Room(chunks=[5, 1448, 1449, 300_000, 1])
    room.join(1, wanted=np.array([True, False, True, True, False]))
    outcome = room.until_done()
    assert outcome.totals.originals == 1 + 2 + 208
    assert outcome.originals == 1 + 1 + 2 + 208 + 1


def test_who_is_dead_is_not_waited_for() -> None:
    room = Room(chunks=4, chunk_bytes=MIB)
    room.join(2)
    room.kill(1, at=0.05)
    assert list(room.until_done().done_s) == [0]


def test_a_path_may_go_bad_on_the_way() -> None:
    room = Room(chunks=4, chunk_bytes=MIB)
    room.join(1)
    room.drop(0, at=0.05, loss=0.2)
    outcome = room.until_done()
    assert outcome.totals.repairs > 300


def test_what_does_not_end_is_told() -> None:
    room = Room(chunks=4, chunk_bytes=MIB)
    room.join(1, client=ClientSettings(disk_stalls=((0.0, 1e9),)))
    assert room.until_done(at_most_s=5.0).unfinished == [0]


def test_an_adaptive_cast_pays_little_for_loss_that_no_rate_cures() -> None:
    seconds = {}
    for adaptive in (False, True):
        room = Room(chunks=32, seed=1, adaptive=adaptive)
        room.join(4, path=PathSettings(loss=0.05))
        seconds[adaptive] = room.until_done().seconds
    assert seconds[True] < 1.04 * seconds[False]


def test_an_adaptive_cast_of_a_gigabit_finds_a_narrow_way_early() -> None:
    room, way = Room(chunks=8, seed=1, rate_bytes_per_s=125e6, adaptive=True), 2.5e6
    room.join(8, path=PathSettings(rate_bytes_per_s=way))
    sent: list[int] = []

    def look() -> None:
        if room.cast.rate.rate_bytes_per_s < 1.3 * way:
            sent.append(room.cast.totals.wire_bytes)
        else:
            room.clock.at(room.clock.now + 0.05, look)

    look()
    outcome = room.until_done()
    assert not outcome.unfinished
    assert sent[0] < 10e6
    assert outcome.seconds < 1.25 * outcome.image_bytes / way
