"""A queue counts by what it has grown."""

from __future__ import annotations

import pytest

from transports.multicast.proto.socket_queue import SocketQueue


@pytest.mark.parametrize(
    ("lengths", "backlog"),
    [
        ((0, 100), 0.2),
        ((0, 800), 1.0),
        ((800,), 0.0),
        ((800, 500, 500), 0.0),
        ((800, 500, 700), 0.4),
        ((800, 0, 300), 0.6),
    ],
)
def test_what_waited_first_counts_for_nothing_until_more_comes(lengths: tuple[int, ...], backlog: float) -> None:
    queue = SocketQueue(1000)
    assert queue.backlog == 0
    for length in lengths:
        queue.handle_length(length)
    assert queue.backlog == pytest.approx(backlog)
