from __future__ import annotations

import numpy as np

from transports.multicast.proto.assembly import Assembly
from transports.multicast.proto.deficits import deficits_of
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import MAX_REPORT_ENTRIES, WHOLE_CHUNK

SYMBOL = 64
LAYOUT = Layout(400 * SYMBOL, SYMBOL)  # three blocks


def begun(*, now: float, lost: tuple[int, ...] = ()) -> Assembly:
    """A chunk all of whose rows came at `now`, but those."""
    assembly = Assembly(layout=LAYOUT, encoding=0, slot=0, now=now)
    rows = np.array([row for row in range(LAYOUT.symbols) if row not in lost])
    assembly.place((rows % LAYOUT.blocks).astype(np.uint8), (rows // LAYOUT.blocks).astype(np.uint8), now)
    return assembly


def test_blocks_with_holes_come_first_and_then_whole_chunks() -> None:
    said = deficits_of({7: begun(now=1.0, lost=(0, 3, 4))}, [2, 5], before=1.0)
    assert said.chunks.tolist() == [7, 7, 2, 5]
    assert said.blocks.tolist() == [0, 1, WHOLE_CHUNK, WHOLE_CHUNK]
    assert said.deficits.tolist() == [2, 1, 0, 0]
    assert not said.more


def test_what_still_comes_is_not_said() -> None:
    assert len(deficits_of({7: begun(now=1.0, lost=(0,))}, (), before=0.9)) == 0


def test_a_report_has_bounds() -> None:
    holes = {chunk: begun(now=1.0, lost=(0, 1, 2)) for chunk in range(MAX_REPORT_ENTRIES // 3 + 1)}
    said = deficits_of(holes, [200], before=1.0)
    assert len(said) == MAX_REPORT_ENTRIES
    assert said.more
    assert 200 not in said.chunks


def test_a_report_that_is_just_full_has_said_everything() -> None:
    whole = list(range(MAX_REPORT_ENTRIES))
    said = deficits_of({}, whole, before=1.0)
    assert (len(said), said.more) == (MAX_REPORT_ENTRIES, False)
    assert deficits_of({}, [*whole, 999], before=1.0).more
    holes = {chunk: begun(now=1.0, lost=(0,)) for chunk in range(MAX_REPORT_ENTRIES)}
    assert not deficits_of(holes, (), before=1.0).more
    assert deficits_of(holes, [999], before=1.0).more
    assert deficits_of({**holes, 998: begun(now=1.0, lost=(0,))}, (), before=1.0).more
