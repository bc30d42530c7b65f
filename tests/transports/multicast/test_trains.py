"""Trains hold what the machine decided: header, the right symbol, a tag that holds."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from transports.multicast.authenticator import TAG_BYTES, CarterWegman
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.proto.cast import Burst, Control
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import HEADER_BYTES
from transports.multicast.proto.packets import Kind, Probe, kind_of, parse_headers
from transports.multicast.trains import TrainBuilder

SYMBOL_BYTES = 64
LAYOUT = Layout(64 * 400 - 5, SYMBOL_BYTES)
KEY = bytes(32)


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (LAYOUT.symbols, SYMBOL_BYTES), dtype=np.uint8)


@pytest.fixture
def trains() -> TrainBuilder:
    return TrainBuilder(cast_id=7, symbol_bytes=SYMBOL_BYTES, authenticator=CarterWegman(KEY), code=CauchyCode())


def burst(blocks: list[int], symbols: list[int], *, first_row: int | None) -> Burst:
    return Burst(
        chunk=5,
        layout=LAYOUT,
        encoding=1,
        first_sequence=2**32 - 2,
        blocks=np.array(blocks, dtype=np.uint8),
        symbols=np.array(symbols, dtype=np.uint8),
        first_row=first_row,
    )


def rows_of(train: memoryview) -> NDArray[np.uint8]:
    return np.frombuffer(train, dtype=np.uint8).reshape(-1, HEADER_BYTES + SYMBOL_BYTES + TAG_BYTES)


def test_originals_are_rows_of_the_frame_in_order(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    rows = np.arange(10, 20)
    train = rows_of(
        trains.build(
            burst((rows % LAYOUT.blocks).tolist(), (rows // LAYOUT.blocks).tolist(), first_row=10), lambda: frame
        )
    )
    headers = parse_headers(train)
    (run,) = headers.runs()
    assert (run.chunk, run.stored_bytes) == (5, LAYOUT.stored_bytes)
    assert (headers.symbol * LAYOUT.blocks + headers.block).tolist() == rows.tolist()
    assert headers.sequence.tolist() == [2**32 - 2, 2**32 - 1, *range(8)]
    assert train[:, HEADER_BYTES:-TAG_BYTES].tobytes() == frame[10:20].tobytes()


def test_tags_hold_under_the_whole_number_across_its_wrap(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    train = rows_of(trains.build(burst([0, 1, 2, 0], [0, 0, 0, 1], first_row=0), lambda: frame))
    numbers = np.arange(2**32 - 2, 2**32 + 2, dtype=np.uint64)
    assert CarterWegman(KEY).check(train, numbers).all()
    assert not CarterWegman(KEY).check(train, numbers % 2**32)[2:].any()


def test_repairs_are_parity_and_originals_again(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    blocks, symbols = [0, 1, 2, 0, 2, 1], [134, 255, 133, 3, 200, 0]
    train = rows_of(trains.build(burst(blocks, symbols, first_row=None), lambda: frame))
    for row, block, symbol in zip(train, blocks, symbols, strict=True):
        own = frame[block :: LAYOUT.blocks]
        expected = own[symbol] if symbol < len(own) else CauchyCode().encode(own, [symbol])[0]
        assert row[HEADER_BYTES:-TAG_BYTES].tobytes() == expected.tobytes()


def test_a_train_may_hold_a_parity_twice(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    train = rows_of(trains.build(burst([1, 1, 1], [255, 140, 255], first_row=None), lambda: frame))
    payloads = [row[HEADER_BYTES:-TAG_BYTES].tobytes() for row in train]
    assert payloads[0] == payloads[2] == CauchyCode().encode(frame[1 :: LAYOUT.blocks], [255])[0].tobytes()


def test_repairs_whose_parity_is_kept_need_no_frame(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    every = [*range(LAYOUT.blocks)] * 2
    k = LAYOUT.block_symbols()
    symbols = [int(k[block]) + number // LAYOUT.blocks for number, block in enumerate(every)]
    first = bytes(trains.build(burst(every, symbols, first_row=None), lambda: frame))

    def gone() -> NDArray[np.uint8]:
        raise OSError("it was read already")

    assert bytes(trains.build(burst(every, symbols, first_row=None), gone)) == first
    with pytest.raises(OSError, match="read already"):
        trains.build(burst(every, [symbol + 2 for symbol in symbols], first_row=None), gone)


def test_control_packets_carry_their_tag(trains: TrainBuilder) -> None:
    probe = Probe(cast_id=7, sequence=9, number=1, left=3)
    packet = trains.control(Control(sequence=9, data=probe.encode()))
    assert kind_of(packet) is Kind.PROBE
    assert Probe.parse(packet[:-TAG_BYTES]) == probe
    row = np.frombuffer(packet, dtype=np.uint8).reshape(1, -1)
    assert CarterWegman(KEY).check(row, np.array([9], dtype=np.uint64)).all()


def test_parity_that_is_due_later_is_made_with_what_is_due_now(trains: TrainBuilder, frame: NDArray[np.uint8]) -> None:
    every, k = list(range(LAYOUT.blocks)), LAYOUT.block_symbols()
    one = burst(every, k.tolist(), first_row=None)
    first = rows_of(trains.build(replace(one, ahead=np.full(LAYOUT.blocks, 1, dtype=np.int32)), lambda: frame)).copy()
    later = rows_of(trains.build(burst(every, (k + 1).tolist(), first_row=None), lambda: frame)).copy()
    assert trains.parity.readings == 1
    made = CauchyCode().encode_frame(frame, LAYOUT.blocks, 0, 2).reshape(-1, LAYOUT.symbol_bytes)
    sent = np.concatenate([first, later])[:, HEADER_BYTES:-TAG_BYTES]
    assert np.array_equal(sent, made)
