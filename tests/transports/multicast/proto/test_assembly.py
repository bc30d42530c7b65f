from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.assembly import Assembly
from transports.multicast.proto.layout import Layout

SYMBOL = 64


def assembly(symbols: int) -> Assembly:
    return Assembly(layout=Layout(symbols * SYMBOL, SYMBOL), encoding=0, slot=3, now=0.0)


def place(target: Assembly, *pairs: tuple[int, int]) -> list[tuple[int, int]]:
    blocks = np.array([block for block, _ in pairs], dtype=np.uint8)
    symbols = np.array([symbol for _, symbol in pairs], dtype=np.uint8)
    every, placed = np.arange(len(pairs)), target.place(blocks, symbols, 1.0)
    return [pair for taken, rows in placed for pair in zip(every[taken].tolist(), rows.tolist(), strict=True)]


def repairs(chunk: Assembly) -> dict[int, int]:
    found = chunk.repairs()
    return dict(zip(found.rows.tolist(), found.symbols.tolist(), strict=True))


def test_originals_go_to_their_own_rows() -> None:
    chunk = assembly(400)  # three blocks
    assert place(chunk, (0, 0), (1, 0), (2, 0), (0, 1)) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert chunk.missing == 396
    assert chunk.touched == 1.0


def test_parity_takes_the_row_of_an_original_that_is_not_there() -> None:
    chunk = assembly(3)
    assert place(chunk, (0, 0), (0, 200)) == [(0, 0), (1, 1)]
    assert chunk.deficits().tolist() == [1]
    assert place(chunk, (0, 2)) == [(0, 2)]
    assert chunk.complete
    assert repairs(chunk) == {1: 200}


def test_an_original_whose_row_is_taken_lies_in_another() -> None:
    chunk = assembly(3)
    place(chunk, (0, 100))
    assert place(chunk, (0, 0)) == [(0, 1)]
    assert place(chunk, (0, 2)) == [(0, 2)]
    assert repairs(chunk) == {0: 100, 1: 0}


def test_repetitions_and_more_than_enough_are_not_taken() -> None:
    chunk = assembly(2)
    assert place(chunk, (0, 0), (0, 0)) == [(0, 0)]
    assert place(chunk, (0, 0)) == []
    assert place(chunk, (0, 9), (0, 8), (0, 1)) == [(0, 1)]
    assert chunk.complete
    assert place(chunk, (0, 1)) == []


def test_originals_behind_a_later_one_are_known_when_they_come_again() -> None:
    chunk = assembly(9)
    place(chunk, (0, 5), (0, 6))
    place(chunk, (0, 1))
    assert place(chunk, (0, 5), (0, 6)) == []


def test_a_chunk_that_came_whole_needs_no_repair() -> None:
    chunk = assembly(5)
    place(chunk, *((0, symbol) for symbol in range(5)))
    assert chunk.complete
    assert len(chunk.repairs()) == 0


@given(st.integers(1, 600), st.integers(0, 2**32), st.floats(0, 0.6))
def test_any_k_symbols_of_each_block_complete_a_chunk(symbols: int, seed: int, loss: float) -> None:
    rng = random.Random(seed)
    chunk = assembly(symbols)
    k = chunk.layout.block_symbols()
    held: dict[int, tuple[int, int]] = {}
    sent = [(block, symbol) for block in range(len(k)) for symbol in range(256)]
    sent = [pair for pair in sent if rng.random() >= loss]
    rng.shuffle(sent)
    sent += [(block, symbol) for block in range(len(k)) for symbol in range(256)]
    while sent and not chunk.complete:
        train, sent = sent[:44], sent[44:]
        for index, row in place(chunk, *train):
            assert row % len(k) == train[index][0]
            assert row not in held
            held[row] = train[index]
    assert chunk.complete
    assert sorted(held) == list(range(symbols))
    assert len(set(held.values())) == symbols
    width = len(k)
    assert repairs(chunk) == {row: symbol for row, (_, symbol) in held.items() if symbol != row // width}
    assert chunk.repairs().rows.tolist() == sorted(repairs(chunk))


@given(st.integers(1, 600), st.integers(0, 2**32), st.floats(0, 0.3))
def test_of_a_train_is_taken_what_its_packets_one_by_one_would_give(symbols: int, seed: int, loss: float) -> None:
    """Originals in order, as they are sent, with parity and repetitions behind them, cut anywhere."""
    rng = random.Random(seed)
    trains, singles = assembly(symbols), assembly(symbols)
    k = trains.layout.block_symbols().tolist()
    width = len(k)
    originals = [(row % width, row // width) for row in range(symbols)]
    parity = [(block, k[block] + number) for number in range(3) for block in range(width)]
    sent = [pair for pair in [*originals, *parity, *rng.choices(originals, k=5), *parity] if rng.random() >= loss]
    held: set[int] = set()
    while sent:
        size = rng.randint(1, 2 * symbols)
        train, sent = sent[:size], sent[size:]
        taken = place(trains, *train)
        assert [index for index, _ in taken] == [index for index, pair in enumerate(train) if place(singles, pair)]
        for index, row in taken:
            assert row % width == train[index][0]
            assert row not in held
            held.add(row)
    assert trains.deficits().tolist() == singles.deficits().tolist()
