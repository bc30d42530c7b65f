"""What was assigned is kept from neighbours until it came, went back, or repod went away."""

from __future__ import annotations

import random

from core.wantmap import WantMap
from transports.p2p.proto.assignments import ORIGIN_WAIT_S, Assignments
from transports.p2p.proto.holders import Holders
from transports.p2p.proto.picker import Picker


def _made() -> tuple[Assignments, Picker]:
    holders = Holders(8)
    holders.join(1)
    holders.add(1, range(8))
    picker = Picker(WantMap(8), holders, seed=random.Random(1).getrandbits(32), window=8)
    return Assignments(picker, 0.0), picker


def test_no_neighbour_is_asked_for_what_was_assigned() -> None:
    assigned, picker = _made()
    assigned.add(range(1, 8), [], 0.0)
    assert picker.choose(1) == 0
    assert assigned.remove(3)
    assert not assigned.remove(3)
    assert {picker.choose(1) for _ in range(9)} <= {0, 3}
    assert 3 not in assigned
    assert list(assigned) == [1, 2, 4, 5, 6, 7]
    assert len(assigned) == 6


def test_what_is_given_back_is_told_once() -> None:
    assigned, _ = _made()
    assigned.add([1, 2], [5], 0.0)
    assigned.give_back([2, 6])
    assert assigned.poll_failed() == [5, 2]
    assert assigned.poll_failed() == []
    assert list(assigned) == [1]


def test_without_the_origin_they_are_kept_for_a_moment() -> None:
    assigned, _ = _made()
    assigned.add([1], [], 1.0)
    assigned.handle_no_origin(1.0 + ORIGIN_WAIT_S / 2)
    assert list(assigned) == [1]
    assigned.handle_no_origin(1.0 + ORIGIN_WAIT_S)
    assert list(assigned) == []
    assert assigned.poll_failed() == [1]


def test_nobody_waits_for_them_when_repod_is_gone() -> None:
    assigned, picker = _made()
    assigned.add(range(8), [], 0.0)
    assigned.clear()
    assert list(assigned) == []
    assert assigned.poll_failed() == []
    assert picker.choose(1) is not None
