"""What every sink that keeps what it is given must do; run on plain files and on real block devices."""

from __future__ import annotations

import mmap
import random
from collections.abc import Callable

import pytest

from client.sinks.base import Sink

__all__ = ["CHECKS", "MIB", "SIZE", "Check"]

MIB = 1 << 20
SIZE = 8 * MIB

Check = Callable[[Sink], None]


def _fill(sink: Sink, seed: int = 1) -> bytes:
    data = random.Random(seed).randbytes(SIZE)
    sink.write(0, [memoryview(data)])
    return data


def _content(sink: Sink) -> bytes:
    memory = bytearray(SIZE)
    sink.read(0, memoryview(memory))
    return bytes(memory)


def what_was_written_is_read_back(sink: Sink) -> None:
    """Buffers follow each other; what is around them stays."""
    before = _fill(sink)
    parts = [b"a" * 4096, b"b" * 512, b"c" * 8192]
    sink.write(MIB, [memoryview(part) for part in parts])
    sink.flush()
    sink.drop_cache()
    joined = b"".join(parts)
    assert _content(sink) == before[:MIB] + joined + before[MIB + len(joined) :]


def zero_reads_as_zero_whatever_was_there(sink: Sink) -> None:
    """Whole sectors, odd edges, and less than a sector."""
    expected = bytearray(_fill(sink))
    for start, stop in [(0, 4096), (MIB + 1, 3 * MIB - 1), (5 * MIB + 10, 5 * MIB + 20), (7 * MIB, 7 * MIB)]:
        sink.zero(start, stop)
        expected[start:stop] = bytes(stop - start)
    sink.flush()
    assert _content(sink) == bytes(expected)


def discard_changes_nothing_outside(sink: Sink) -> None:
    """Whether or not the device can discard."""
    before = _fill(sink)
    sink.discard(2 * MIB, 4 * MIB)
    sink.flush()
    after = _content(sink)
    assert after[: 2 * MIB] == before[: 2 * MIB]
    assert after[4 * MIB :] == before[4 * MIB :]


def nothing_is_written_outside_the_target(sink: Sink) -> None:
    """A range beyond the end is a mistake of the caller."""
    for start, data in [(sink.size, b"x"), (sink.size - 1, b"xy"), (-1, b"x")]:
        with pytest.raises(ValueError, match="does not lie in"):
            sink.write(start, [memoryview(data)])
    with pytest.raises(ValueError, match="does not lie in"):
        sink.zero(sink.size - 1, sink.size + 1)


def many_buffers_go_out_in_one_call(sink: Sink) -> None:
    """As many as one pwritev takes."""
    parts = [bytes([number & 255]) * 512 for number in range(1024)]
    sink.write(MIB, [memoryview(part) for part in parts])
    memory = bytearray(512 * 1024)
    sink.read(MIB, memoryview(memory))
    assert bytes(memory) == b"".join(parts)


def long_aligned_writes_and_short_ones_mix(sink: Sink) -> None:
    """Whatever way each of them takes to the device."""
    expected = bytearray(_fill(sink))
    memory = memoryview(mmap.mmap(-1, 4 * MIB))
    memory[:] = random.Random(2).randbytes(4 * MIB)
    for start, stop in [(MIB, 5 * MIB), (MIB + 512, MIB + 1024), (2 * MIB, 4 * MIB), (4 * MIB - 512, 4 * MIB + 512)]:
        piece = memory[: stop - start]
        sink.write(start, [piece[: len(piece) // 2], piece[len(piece) // 2 :]])
        expected[start:stop] = piece
        assert _content(sink) == bytes(expected)
    sink.flush()
    sink.drop_cache()
    assert _content(sink) == bytes(expected)


def closing_twice_is_harmless(sink: Sink) -> None:
    """And lets go of the target."""
    sink.close()
    sink.close()


CHECKS: tuple[Check, ...] = (
    what_was_written_is_read_back,
    zero_reads_as_zero_whatever_was_there,
    discard_changes_nothing_outside,
    nothing_is_written_outside_the_target,
    many_buffers_go_out_in_one_call,
    long_aligned_writes_and_short_ones_mix,
    closing_twice_is_harmless,
)
