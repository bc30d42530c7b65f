"""Whatever lies in the rows of a complete chunk, mending gives the frame back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.multicast.fec.isal import find_code
from transports.multicast.mending import mend
from transports.multicast.proto.assembly import Assembly, Repairs
from transports.multicast.proto.layout import Layout

CODE = find_code()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), symbols=st.integers(1, 450), loss=st.floats(0, 0.4))
def test_a_chunk_that_came_in_any_order_with_any_losses_is_mended(seed: int, symbols: int, loss: float) -> None:
    rng = np.random.default_rng(seed)
    layout = Layout(symbols * 8, 8)
    frame = rng.integers(0, 256, (symbols, 8), dtype=np.uint8)
    packets = []
    for block in range(layout.blocks):
        own = frame[block :: layout.blocks]
        parity = CODE.encode(own, range(len(own), 256))
        packets += [(block, number, own[number]) for number in range(len(own)) if rng.random() >= loss]
        packets += [(block, len(own) + number, parity[number]) for number in range(len(parity))]
        # originals that come after parity took their row
        packets += [(block, number, own[number]) for number in range(len(own))]
    assembly = Assembly(layout=layout, encoding=0, slot=0, now=0.0)
    memory = np.zeros_like(frame)
    for start in range(0, len(packets), 44):
        train = packets[start : start + 44]
        order = rng.permutation(len(train))
        placed = assembly.place(
            np.array([train[at][0] for at in order], dtype=np.uint8),
            np.array([train[at][1] for at in order], dtype=np.uint8),
            0.0,
        )
        for taken, rows in placed:
            for packet, row in zip(order[taken].tolist(), rows.tolist(), strict=True):
                memory[row] = train[packet][2]
    assert assembly.complete
    mend(memory, layout, assembly.repairs(), CODE)
    assert memory.tobytes() == frame.tobytes()


def test_an_original_in_another_row_goes_home_and_is_not_computed() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (4, 8), dtype=np.uint8)
    broken = frame[[1, 0, 2, 3]]
    repairs = Repairs(rows=np.array([0, 1]), symbols=np.array([1, 0]))
    assert mend(broken, Layout(4 * 8, 8), repairs, CODE) == 0
    assert broken.tobytes() == frame.tobytes()


def test_the_answer_counts_computed_symbols() -> None:
    layout = Layout(200 * 8, 8)  # two blocks
    frame = np.random.default_rng(2).integers(0, 256, (200, 8), dtype=np.uint8)
    broken = frame.copy()
    broken[[0, 4]] = CODE.encode(frame[0::2], [100, 101])
    repairs = Repairs(rows=np.array([0, 4]), symbols=np.array([100, 101]))
    assert mend(broken, layout, repairs, CODE) == 2
    assert broken.tobytes() == frame.tobytes()
