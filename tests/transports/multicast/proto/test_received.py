from __future__ import annotations

import numpy as np
import pytest

from transports.multicast.proto.received import Placement


@pytest.mark.parametrize("packets", [slice(1, 4), np.array([1, 2, 3])], ids=["slice", "numbers"])
def test_a_placement_among_others_names_their_numbers(packets: slice | np.ndarray) -> None:
    placement = Placement(slot=5, packets=packets, rows=np.array([7, 9, 11]))
    found = placement.among(np.array([0, 2, 3, 6, 8]))
    assert (found.slot, found.rows.tolist()) == (5, [7, 9, 11])
    assert np.arange(9)[found.packets].tolist() == [2, 3, 6]


def test_what_still_follows_each_other_stays_a_slice() -> None:
    placement = Placement(slot=5, packets=slice(1, 4), rows=np.array([7, 9, 11]))
    assert placement.among(np.array([0, 2, 3, 4])).packets == slice(2, 5)
