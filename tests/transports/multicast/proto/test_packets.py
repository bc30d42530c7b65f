from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import ProtocolError
from transports.multicast.proto.limits import MAX_STORED_BYTES, SEQUENCE_LIMIT
from transports.multicast.proto.packets import (
    Kind,
    Probe,
    Status,
    StatusFlags,
    extend_sequences,
    kind_of,
    packet_bytes,
    parse_headers,
    sequence_of,
    well_formed,
    write_headers,
)

STATUS = Status(
    cast_id=7,
    sequence=(5 << 32) + 9,
    time_us=123_456_789,
    pace_bytes_per_s=25_000_000,
    chunks_wanted=3,
    repairs_pending=17,
    report_interval_ms=100,
    round_trip_ms=4,
    members=8,
    flags=StatusFlags.IDLE | StatusFlags.REPEATS,
    echo=12,
)


def train(count: int = 4, *, symbol_bytes: int = 64, first: int = 1, **fields: int) -> np.ndarray:
    packets = np.zeros((count, packet_bytes(symbol_bytes)), dtype=np.uint8)
    write_headers(
        packets,
        cast_id=fields.get("cast_id", 7),
        first_sequence=first,
        chunk=fields.get("chunk", 2),
        blocks=np.arange(count).astype(np.uint8) % 2,
        symbols=np.arange(count).astype(np.uint8),
        stored_bytes=fields.get("stored_bytes", 300 * 64),
        encoding=fields.get("encoding", 1),
    )
    return packets


def sound(packets: np.ndarray) -> np.ndarray:
    headers = parse_headers(packets)
    return well_formed(headers, headers.runs(), cast_id=7, chunks=5, symbol_bytes=64)


def test_a_train_reads_as_it_was_written() -> None:
    headers = parse_headers(train(chunk=0xABCDEF, first=(3 << 32) - 2))
    (run,) = headers.runs()
    assert (run.start, run.stop, run.cast, run.chunk) == (0, 4, 7, 0xABCDEF)
    assert (run.stored_bytes, run.encoding) == (19200, 1)
    assert headers.block.tolist() == [0, 1, 0, 1]
    assert headers.symbol.tolist() == [0, 1, 2, 3]
    assert headers.sequence.tolist() == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
    assert extend_sequences(headers.sequence, 3 << 32).tolist() == list(range((3 << 32) - 2, (3 << 32) + 2))


@pytest.mark.parametrize(
    "fields",
    [
        {"cast_id": 8},
        {"chunk": 5},
        {"stored_bytes": 0},
        {"stored_bytes": MAX_STORED_BYTES + 1},
        {"encoding": 2},
        {"stored_bytes": 64},
    ],
)
def test_rows_that_name_nothing_are_told_apart(fields: dict[str, int]) -> None:
    good = sound(train(2, **fields))
    assert not good[1]  # of a frame of one symbol there is no block 1


@pytest.mark.parametrize("count", [1, 2])
def test_headers_are_a_copy(count: int) -> None:
    packets = train(count)[:, :16].copy()
    headers = parse_headers(packets)
    packets[:] = 0
    assert headers.sequence.tolist() == list(range(1, count + 1))


def test_another_version_or_kind_is_not_data() -> None:
    packets = train(3)
    packets[0, 0] = 0x21
    packets[1, 0] = 0x12
    assert sound(packets).tolist() == [False, False, True]


fields_of_frames = st.fixed_dictionaries(
    {
        "cast_id": st.sampled_from([7, 8]),
        "chunk": st.sampled_from([0, 1, 0xFFFFFF]),
        "stored_bytes": st.sampled_from([64, 6400]),
        "encoding": st.sampled_from([0, 1]),
    }
)


@given(st.lists(st.tuples(fields_of_frames, st.integers(1, 5)), max_size=6))
def test_runs_are_cut_where_packets_say_another_thing_of_their_frame(parts: list[tuple[dict[str, int], int]]) -> None:
    trains = [train(count, first=100 * number, **fields) for number, (fields, count) in enumerate(parts)]
    headers = parse_headers(np.concatenate([train(0), *trains]))
    found = []
    for run in headers.runs():
        frame = {
            key: getattr(run, "cast" if key == "cast_id" else key)
            for key in ("cast_id", "chunk", "stored_bytes", "encoding")
        }
        found += [frame] * len(run)
    assert found == [fields for fields, count in parts for _ in range(count)]
    changes = sum(one != other for (one, _), (other, _) in pairwise(parts))
    assert len(headers.runs()) == changes + bool(parts)


def test_another_kind_is_a_run_of_its_own() -> None:
    packets = train(3)
    packets[1, 0] = 0x12
    assert [(run.start, run.stop, run.kind) for run in parse_headers(packets).runs()] == [
        (0, 1, 0x11),
        (1, 2, 0x12),
        (2, 3, 0x11),
    ]


def test_selecting_rows_keeps_them_in_order() -> None:
    chosen = parse_headers(train(4)).select(np.array([False, True, False, True]))
    assert chosen.symbol.tolist() == [1, 3]
    assert len(chosen) == 2


@given(st.integers(1 << 31, SEQUENCE_LIMIT - (1 << 31)), st.integers(-(1 << 31), (1 << 31) - 1))
def test_a_short_number_is_extended_to_the_nearest(highest: int, distance: int) -> None:
    whole = highest + distance
    low = np.array([whole % (1 << 32)], dtype=np.uint32)
    assert extend_sequences(low, highest).tolist() == [whole]
    packet = bytes(4) + (whole % (1 << 32)).to_bytes(4, "little") + bytes(8)
    assert sequence_of(packet, highest) == whole


def test_status_reads_as_it_was_written() -> None:
    assert Status.parse(STATUS.encode()) == STATUS
    assert sequence_of(STATUS.encode(), 5 << 32) == STATUS.sequence
    assert kind_of(STATUS.encode()) is Kind.STATUS


def test_probe_reads_as_it_was_written() -> None:
    probe = Probe(cast_id=7, sequence=77, number=3, left=13)
    assert Probe.parse(probe.encode()) == probe


@pytest.mark.parametrize("at", [0, 1, 4, 14, 43])
def test_a_status_that_makes_no_sense_is_refused(at: int) -> None:
    packet = bytearray(STATUS.encode())
    packet[at] ^= 0x80
    with pytest.raises(ProtocolError):
        Status.parse(bytes(packet))


def test_a_status_without_a_report_interval_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Status.parse(replace(STATUS, report_interval_ms=0).encode())


PROBE = Probe(cast_id=1, sequence=1, number=1, left=0).encode()


@pytest.mark.parametrize("packet", [b"", b"\x22", b"\x1f", STATUS.encode()[:-1], PROBE])
def test_what_is_no_status_is_a_protocol_error(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        Status.parse(packet)


@pytest.mark.parametrize("packet", [b"", STATUS.encode(), PROBE + b"x", PROBE[:1] + b"\x01" + PROBE[2:]])
def test_what_is_no_probe_is_a_protocol_error(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        Probe.parse(packet)


def test_a_packet_cut_within_its_header_has_no_number() -> None:
    with pytest.raises(ProtocolError):
        sequence_of(bytes(15), 0)
