"""What was asked is sent in order, as far as credits reach, within bounds."""

from __future__ import annotations

import pytest

from core.errors import ProtocolError
from transports.unicast.proto.limits import MAX_CREDITS, MAX_QUEUED_CHUNKS
from transports.unicast.proto.reads import Read, ReadQueue


def _reads(*chunks: int, handle: int = 1, cost: int = 2) -> list[Read]:
    return [Read(message=1, handle=handle, chunk=chunk, cost=cost) for chunk in chunks]


def test_nothing_is_sent_without_credit_and_nothing_overtakes() -> None:
    queue = ReadQueue()
    queue.add([*_reads(1, cost=4), *_reads(2, cost=1)])
    queue.grant(3)
    assert not queue.ready
    queue.grant(1)
    assert queue.take().chunk == 1
    assert not queue.ready
    assert queue.balance == 0


def test_dropping_takes_the_credits_back() -> None:
    queue = ReadQueue()
    queue.add(_reads(1, 2, 3))
    queue.add(_reads(4, handle=2))
    queue.grant(8)
    assert [read.chunk for read in queue.drop(1, {2})] == [2]
    assert queue.balance == 6
    assert [read.chunk for read in queue.drop(0)] == [1, 3, 4]
    assert (queue.balance, len(queue)) == (0, 0)


def test_a_queue_has_an_end() -> None:
    queue = ReadQueue()
    queue.add(_reads(*range(MAX_QUEUED_CHUNKS)))
    with pytest.raises(ProtocolError):
        queue.add(_reads(1))
    assert len(queue) == MAX_QUEUED_CHUNKS


def test_credits_do_not_overflow() -> None:
    queue = ReadQueue()
    queue.grant(MAX_CREDITS)
    with pytest.raises(ProtocolError):
        queue.grant(1)


def test_what_comes_next_can_be_looked_at() -> None:
    queue = ReadQueue()
    queue.add(_reads(5, 6, 7))
    assert [read.chunk for read in queue.upcoming(2)] == [5, 6]
