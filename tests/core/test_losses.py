"""A connection is lossy by what it lost lately: a bad start is forgotten, and so is a good one."""

from __future__ import annotations

from core.losses import FIRST_LOOK_PACKETS, LATELY_PACKETS, LOSSY_SHARE, MENDED_SHARE, Losses

STEP = 100
"""Packets of a chunk or so."""


class Connection:
    def __init__(self) -> None:
        self.losses = Losses()
        self.sent = self.repeated = 0
        self.changes: list[int] = []

    def send(self, packets: int, *, lost: float) -> bool:
        for _ in range(packets // STEP):
            self.sent += STEP
            self.repeated += round(STEP * lost)
            if self.losses.handle_sent(self.repeated, self.sent):
                self.changes.append(self.sent)
        return self.losses.lossy


def test_a_few_packets_say_nothing() -> None:
    connection = Connection()
    assert not connection.send(FIRST_LOOK_PACKETS - STEP, lost=1.0)
    assert not connection.losses.judged
    connection.send(STEP, lost=0.0)
    assert connection.losses.judged


def test_a_bad_cable_is_known_after_its_first_packets() -> None:
    connection = Connection()
    assert connection.send(50_000, lost=2 * LOSSY_SHARE)
    assert connection.changes == [FIRST_LOOK_PACKETS]


def test_a_lossy_start_is_forgotten() -> None:
    connection = Connection()
    assert connection.send(1000, lost=0.2)
    assert not connection.send(2 * LATELY_PACKETS, lost=0.0)
    assert not connection.send(50_000, lost=0.02), "a full port"
    assert len(connection.changes) == 2


def test_a_cable_that_goes_bad_after_a_long_time_is_known_soon() -> None:
    connection = Connection()
    assert not connection.send(1_000_000, lost=0.0)
    assert connection.send(2 * LATELY_PACKETS, lost=2 * LOSSY_SHARE)


def test_between_the_two_shares_nothing_changes() -> None:
    between = (LOSSY_SHARE + MENDED_SHARE) / 2
    good, bad = Connection(), Connection()
    assert not good.send(20_000, lost=between)
    bad.send(1000, lost=0.2)
    assert bad.send(20_000, lost=between)


def test_what_was_sent_before_a_change_is_not_judged_again() -> None:
    connection = Connection()
    connection.send(FIRST_LOOK_PACKETS, lost=0.5)
    assert connection.send(LATELY_PACKETS - STEP, lost=0.0), "too few to say that it is mended"
    assert not connection.send(STEP, lost=0.0)
    assert not connection.send(LATELY_PACKETS - STEP, lost=1.0)
