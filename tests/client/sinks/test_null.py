from __future__ import annotations

import pytest

from client.preflight import Needs, open_target
from client.sinks.null import NULL_TARGET, NullSink


def test_it_takes_everything_and_keeps_nothing() -> None:
    opened = open_target(NULL_TARGET, Needs(size=100, data_bytes=100, sector_size=512, alignment=0))
    sink = opened.sink
    assert isinstance(sink, NullSink)
    sink.prepare()
    sink.write(0, [memoryview(b"x" * 60), memoryview(b"y" * 40)])
    sink.zero(0, 10)
    assert not sink.discard(0, 10)
    sink.flush()
    sink.drop_cache()
    memory = bytearray(b"z" * 4)
    sink.read(0, memoryview(memory))
    assert bytes(memory) == bytes(4)
    assert sink.bytes_written == 100
    assert not sink.reads_back
    with pytest.raises(ValueError, match="does not lie in"):
        sink.write(99, [memoryview(b"xy")])
    opened.abandon()
