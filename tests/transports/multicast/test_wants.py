from __future__ import annotations

from core.wantmap import WantMap
from transports.multicast.wants import flags_of, flags_of_chunks


def test_flags_say_what_the_map_says_and_are_a_copy() -> None:
    want = WantMap(11, full=False)
    want.add(3)
    want.add(10)
    flags = flags_of(want)
    assert flags.nonzero()[0].tolist() == [3, 10]
    flags[3] = False
    assert 3 in want


def test_chunks_become_flags() -> None:
    assert flags_of_chunks([1, 4], 6).tolist() == [False, True, False, False, True, False]
    assert not flags_of_chunks([], 6).any()
