"""Reports as lines and JSON fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repod.commands.reports import report_fields, report_lines


@dataclass
class Part:
    digest: bytes
    path: Path


@dataclass
class Report:
    chunks: int
    raw_bytes: int
    dry: bool
    parts: tuple[Part, ...]


REPORT = Report(chunks=3, raw_bytes=2048, dry=True, parts=(Part(digest=b"\x01\xff", path=Path("/x")),))


def test_fields_are_json_values() -> None:
    assert report_fields(REPORT) == {
        "chunks": 3,
        "raw_bytes": 2048,
        "dry": True,
        "parts": [{"digest": "01ff", "path": "/x"}],
    }


def test_lines_show_the_numbers() -> None:
    assert [line.split(maxsplit=1)[0] for line in report_lines(REPORT)] == ["chunks", "raw"]
    assert "2048 (2.0 KiB)" in report_lines(REPORT)[1]
