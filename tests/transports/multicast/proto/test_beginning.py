"""A chunk is begun with its first quarter, the first one a member hears with whatever it hears of it."""

from __future__ import annotations

import numpy as np

from transports.multicast.proto.beginning import Beginning
from transports.multicast.proto.layout import Layout

LAYOUT = Layout(400 * 64, 64)
"""Three blocks."""


def allows(beginning: Beginning, chunk: int, *rows: int) -> bool:
    at = np.array(rows)
    blocks, symbols = (at % LAYOUT.blocks).astype(np.uint8), (at // LAYOUT.blocks).astype(np.uint8)
    return beginning.allows(chunk, LAYOUT, blocks, symbols)


def test_the_first_chunk_is_begun_wherever_it_is() -> None:
    beginning = Beginning()
    assert beginning.first_chunk is None
    assert allows(beginning, 3, 390, 391)
    assert beginning.first_chunk == 3
    assert allows(beginning, 3, 399)


def test_parity_begins_nothing_and_is_no_first_chunk() -> None:
    beginning = Beginning()
    assert not allows(beginning, 3, 400, 401)
    assert allows(beginning, 4, 300)
    assert not allows(beginning, 3, 300)


def test_later_chunks_are_begun_in_their_first_quarter() -> None:
    beginning = Beginning()
    assert allows(beginning, 0, 0)
    assert allows(beginning, 1, 140, 99, 180)
    assert not allows(beginning, 1, 140, 100, 180)
