"""Parsers and machines of multicast fed with rubbish and damaged good input: a value, a documented error, a counter."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.errors import OgcastError, ProtocolError
from transports.member.proto.framing import MessageReader
from transports.member.proto.maps import unpack_wants
from transports.multicast.keys import report_tag
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.lane import DECODER
from transports.multicast.proto.packets import Probe, Status, kind_of, parse_headers, sequence_of, well_formed
from transports.multicast.proto.rate import RateLimits
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.reports import Report, member_of

DATA = Path(__file__).parents[1] / "data" / "multicast"
GOOD = [(DATA / name).read_bytes() for name in ("data.bin", "status.bin", "probe.bin", "report.bin", "join.bin")]
KEY = bytes(range(32))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good packet with some bytes changed, cut or added; or just bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=4))


@given(damaged())
def test_every_parser_gives_a_value_or_a_documented_error(data: bytes) -> None:
    for parse in (kind_of, Status.parse, Probe.parse, member_of):
        with contextlib.suppress(ProtocolError):
            parse(data)
    for call in (lambda: Report.parse(data, KEY), lambda: sequence_of(data, 1 << 40), lambda: unpack_wants(data, 11)):
        with contextlib.suppress(OgcastError):
            call()


@given(damaged())
def test_a_report_that_is_authentic_but_wrong_is_a_protocol_error(data: bytes) -> None:
    try:
        report = Report.parse(data + report_tag(KEY, data), KEY)
    except ProtocolError:
        return
    assert report.received <= report.span


@given(st.lists(damaged(), max_size=5))
def test_a_lane_gives_messages_or_a_protocol_error(pieces: list[bytes]) -> None:
    reader = MessageReader(DECODER)
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            reader.handle_bytes(piece)
            while reader.poll_message() is not None:
                pass


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=60), st.integers(0, 2**32))
def test_a_reception_survives_any_authentic_rubbish(rows: list[bytes], seed: int) -> None:
    reception = Reception(
        cast_id=0x4F47,
        member=1,
        key=KEY,
        symbol_bytes=64,
        wanted=np.ones(300, dtype=np.bool_),
        slot_bytes=1 << 20,
        slots=3,
        sequence=0,
        interval_s=0.1,
        rng=random.Random(seed),
        now=0.0,
    )
    for slot in range(3):
        reception.handle_slot(slot)
    packets = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), 16).copy()
    packets[:, 0] = 0x11
    packets[:, 2:4] = np.frombuffer((0x4F47).to_bytes(2, "little"), dtype=np.uint8)
    packets[:, 9:11] = 0
    packets[:, 14:16] = 0
    headers = parse_headers(packets)
    good = int(well_formed(headers, headers.runs(), cast_id=0x4F47, chunks=300, symbol_bytes=64).sum())
    placed = reception.handle_packets(headers, 0.1)
    every = np.arange(len(headers))
    taken = [packet for some in placed for packet in every[some.packets].tolist()]
    places = [(some.slot, row) for some in placed for row in some.rows.tolist()]
    assert len(set(taken)) == len(taken) == len(set(places)) == len(places) <= good
    reception.handle_timer(5.0)
    reception.poll_report(5.0)


@given(st.lists(damaged(), max_size=10))
def test_a_cast_goes_on_whatever_is_sent_to_its_report_port(datagrams: list[bytes]) -> None:
    cast = Cast(
        cast_id=0x4F47,
        chunks=3,
        stored=lambda chunk: (6400, 0),
        symbol_bytes=64,
        limits=RateLimits(cap_bytes_per_s=1e6),
        now=0.0,
    )
    cast.add_member(70_000, key=KEY, wanted=np.ones(3, dtype=np.bool_), now=0.0)
    now, symbols = 0.0, 0
    for turn in range(40):
        if turn < len(datagrams):
            data = datagrams[turn]
            cast.handle_report(data, now)
            cast.handle_report(data + report_tag(KEY, data), now)
        if (burst := cast.poll_burst(now)) is not None:
            symbols += len(burst)
        cast.poll_control(now)
        now = max(now, min(cast.poll_timer(), now + 0.1))
    assert symbols >= 300
