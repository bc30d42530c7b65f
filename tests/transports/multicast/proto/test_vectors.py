"""The files of tests/data/multicast, read by docs/wire-multicast.md alone: struct, blake3, msgpack, not our codec.

Written once by our own code; a change of any byte is a change of the version.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import numpy as np
import zstandard
from blake3 import blake3

from transports.member.proto.framing import encode_message
from transports.member.proto.maps import pack_wants
from transports.multicast.proto.lane import DECODER, Join
from transports.multicast.proto.packets import Probe, Status, StatusFlags, parse_headers, write_headers
from transports.multicast.proto.reports import Report, ReportFlags, entries_of

DATA = Path(__file__).parents[3] / "data" / "multicast"
KEY = bytes(range(32))


def read(name: str) -> bytes:
    return (DATA / name).read_bytes()


def test_data_packets() -> None:
    data = read("data.bin")
    assert len(data) == 2 * (16 + 64)
    first, second = data[:80], data[80:]
    assert struct.unpack("<BBHIII", first[:16]) == (
        0x11,
        3,
        0x4F47,
        0xFFFFFFFF,
        0xC8 << 24 | 0x012345,
        1 << 28 | 60_000,
    )
    assert struct.unpack("<BBHIII", second[:16]) == (0x11, 4, 0x4F47, 0, 0xC9 << 24 | 0x012345, 1 << 28 | 60_000)
    assert first[16:] == bytes(range(64))
    assert second[16:] == bytes(range(64, 128))


def test_data_packets_are_what_we_write_and_read() -> None:
    packets = np.zeros((2, 80), dtype=np.uint8)
    packets[:, 16:] = np.arange(128).reshape(2, 64)
    write_headers(
        packets,
        cast_id=0x4F47,
        first_sequence=0xFFFFFFFF,
        chunk=0x012345,
        blocks=np.array([3, 4], dtype=np.uint8),
        symbols=np.array([200, 201], dtype=np.uint8),
        stored_bytes=60_000,
        encoding=1,
    )
    assert packets.tobytes() == read("data.bin")
    headers = parse_headers(packets)
    assert ([run.chunk for run in headers.runs()], headers.symbol.tolist()) == ([0x012345], [200, 201])


def test_status() -> None:
    fields = struct.unpack("<BBHIQQIIIHHHHI", read("status.bin"))
    assert fields == (0x12, 0, 0x4F47, 7, (1 << 32) + 7, 1_000_000, 25_000, 3, 17, 100, 4, 8, 3, 12)
    status = Status(
        cast_id=0x4F47,
        sequence=(1 << 32) + 7,
        time_us=1_000_000,
        pace_bytes_per_s=25_000_000,
        chunks_wanted=3,
        repairs_pending=17,
        report_interval_ms=100,
        round_trip_ms=4,
        members=8,
        flags=StatusFlags.IDLE | StatusFlags.REPEATS,
        echo=12,
    )
    assert status.encode() == read("status.bin")
    assert Status.parse(read("status.bin")) == status


def test_probe() -> None:
    assert struct.unpack("<BBHIQIHH", read("probe.bin")) == (0x13, 0, 0x4F47, 8, (1 << 32) + 8, 5, 11, 0)
    probe = Probe(cast_id=0x4F47, sequence=(1 << 32) + 8, number=5, left=11)
    assert probe.encode() == read("probe.bin")
    assert Probe.parse(read("probe.bin")) == probe


def test_report() -> None:
    data = read("report.bin")
    assert data[-16:] == blake3(data[:-16], key=KEY).digest(length=16)
    assert struct.unpack("<BBHIIHBBQQQQQIII", data[:68]) == (
        0x14, 1, 0x4F47, 9, 70_000, 2, 128, 0, (1 << 32) + 7, 1000, 990, 4, 1_000_000, 1500, 90_000, 12,
    )  # fmt: skip
    assert struct.unpack("<IBIB", data[68:78]) == (2 << 24 | 0x012345, 17, 255 << 24 | 5, 0)
    report = Report(
        cast_id=0x4F47,
        member=70_000,
        number=9,
        as_of=(1 << 32) + 7,
        span=1000,
        received=990,
        overflow=4,
        status_time_us=1_000_000,
        held_us=1500,
        write_bytes_per_s=90_000_000,
        missing_chunks=12,
        backlog=128,
        flags=ReportFlags.MORE,
        entries=entries_of(np.array([0x012345, 5]), np.array([2, 255]), np.array([17, 0])),
    )
    assert report.encode(KEY) == data
    assert Report.parse(data, KEY).encode(KEY) == data


def test_join() -> None:
    data = read("join.bin")
    assert int.from_bytes(data[:4], "little") == len(data) - 4
    name, wanted, listened = msgspec.msgpack.decode(data[4:])
    assert (name, listened) == ("join", True)
    assert zstandard.ZstdDecompressor().decompress(wanted) == bytes([0b10110001, 0b00000010])
    flags = np.unpackbits(np.array([0b10110001, 0b00000010], dtype=np.uint8), bitorder="little")[:11]
    assert encode_message(Join(wanted=pack_wants(flags.astype(np.bool_)), listened=True)) == data
    assert DECODER.decode(msgspec.msgpack.encode(["join", wanted])) == Join(wanted=wanted)
