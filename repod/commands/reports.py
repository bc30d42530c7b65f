"""Reports of the store (gc, diff, verify) as lines and JSON fields."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.units import human_bytes

__all__ = ["report_fields", "report_lines"]


def report_fields(report: Any) -> dict[str, object]:
    """The fields of a report dataclass, as JSON values."""
    return {field.name: _plain(getattr(report, field.name)) for field in dataclasses.fields(report)}


def report_lines(report: Any) -> list[str]:
    """The numbers of a report, a line each."""
    lines = []
    for name, value in report_fields(report).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        shown = f"{value} ({human_bytes(value)})" if "bytes" in name else f"{value}"
        lines.append(f"{name.replace('_', ' '):<20} {shown}")
    return lines


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return report_fields(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value)
