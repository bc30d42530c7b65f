"""The `Range` header of a request (RFC 9110 14). Pure."""

from __future__ import annotations

import re

__all__ = ["requested_range"]

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.ASCII | re.IGNORECASE)


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte to send of a file of `size` bytes, and the one after the last; None: it has none of those asked for.

    The whole file for no header, for one that is malformed, and for several ranges at once, as the RFC allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or match[0].endswith("=-"):
        return 0, size
    first, last = match[1], match[2]
    if not first:
        count = min(int(last), size)
        return (size - count, size) if count else None
    start = int(first)
    if last and int(last) < start:
        return 0, size  # malformed
    if start >= size:
        return None
    return start, min(int(last) + 1, size) if last else size
