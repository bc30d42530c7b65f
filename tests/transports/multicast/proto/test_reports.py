from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from core.errors import AuthenticationError, ProtocolError
from transports.multicast.keys import REPORT_TAG_BYTES, report_tag
from transports.multicast.proto.reports import Report, ReportFlags, entries_of, member_of, split_entries

KEY = bytes(range(32))
REPORT = Report(
    cast_id=7,
    member=70_000,
    number=3,
    as_of=1 << 40,
    span=1000,
    received=990,
    overflow=4,
    status_time_us=5_000_000,
    held_us=1500,
    write_bytes_per_s=90_000_000,
    missing_chunks=12,
    backlog=128,
    flags=ReportFlags.MORE,
)


def entries(*triples: tuple[int, int, int]) -> np.ndarray:
    chunks, blocks, deficits = (np.array(column, dtype=np.int64) for column in zip(*triples, strict=True))
    return entries_of(chunks, blocks, deficits)


def test_a_report_reads_as_it_was_written() -> None:
    report = replace(REPORT, entries=entries((0xABCDEF, 3, 17), (5, 255, 0)))
    data = report.encode(KEY)
    parsed = Report.parse(data, KEY)
    assert parsed.encode(KEY) == data
    assert (parsed.number, parsed.received, parsed.flags) == (3, 990, ReportFlags.MORE)
    assert [column.tolist() for column in split_entries(parsed.entries)] == [[0xABCDEF, 5], [3, 255], [17, 0]]
    assert member_of(data) == 70_000


def test_the_fullest_report_fits_a_packet() -> None:
    full = replace(REPORT, entries=entries(*((chunk, 1, 1) for chunk in range(256))))
    assert len(full.encode(KEY)) <= 1448
    assert len(Report.parse(full.encode(KEY), KEY).entries) == 256


def test_a_report_of_another_key_or_with_a_changed_byte_is_refused() -> None:
    data = REPORT.encode(KEY)
    with pytest.raises(AuthenticationError):
        Report.parse(data, bytes(32))
    for at in range(1, len(data)):
        with pytest.raises(AuthenticationError):
            Report.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(REPORT, received=1001),
        replace(REPORT, as_of=1 << 48),
        replace(REPORT, overflow=1 << 48),
        replace(REPORT, entries=entries(*((chunk, 1, 1) for chunk in range(257)))),
    ],
)
def test_a_report_out_of_bounds_is_refused(wrong: Report) -> None:
    with pytest.raises(ProtocolError):
        Report.parse(wrong.encode(KEY), KEY)


def test_what_is_too_short_for_a_report_is_refused() -> None:
    data = REPORT.encode(KEY)
    for length in (0, 1, 20, len(data) - 1):
        with pytest.raises(ProtocolError):
            member_of(data[:length])
        with pytest.raises(ProtocolError):
            Report.parse(data[:length], KEY)


def test_flags_nobody_knows_are_refused() -> None:
    data = bytearray(REPORT.encode(KEY))
    data[1] |= 4
    body = bytes(data[:-REPORT_TAG_BYTES])
    with pytest.raises(ProtocolError):
        Report.parse(body + report_tag(KEY, body), KEY)
