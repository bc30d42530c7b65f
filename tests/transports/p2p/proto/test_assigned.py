"""What may be taken from the origin is what was assigned and not taken back."""

from __future__ import annotations

import numpy as np

from transports.member.proto.maps import unpack_wants
from transports.p2p.proto.assigned import Assigned


def test_it_holds_what_was_assigned_until_it_is_taken_back() -> None:
    assigned = Assigned(10)
    assert not any(assigned.holds(chunk) for chunk in range(10))
    assigned.add([3, 9])
    assigned.add(())
    assigned.remove([9, 4])
    assert [chunk for chunk in range(10) if assigned.holds(chunk)] == [3]
    assert np.flatnonzero(unpack_wants(assigned.packed(), 10)).tolist() == [3]
