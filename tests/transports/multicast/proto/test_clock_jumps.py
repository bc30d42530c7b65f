"""Clocks jump: a machine that was suspended, a host that was paused, a wall clock that was set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import transports.multicast
from tests.transports.multicast.proto.test_cast import KEY, RATE, ROWS, drain, make_cast, rows_of, wants
from tests.transports.multicast.proto.test_reception import LAYOUT, Wire
from transports.multicast.proto.limits import BURST_PACKETS
from transports.multicast.proto.rate import SLACK_S
from transports.multicast.proto.silence import Alarm

HOUR_S = 3600.0
WALL_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


def test_a_sender_that_slept_for_an_hour_goes_on_at_its_rate_and_sends_nothing_twice() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    before, _, _ = drain(cast, bursts=3)
    spent = cast.totals.wire_bytes
    woke = HOUR_S
    soon, _, now = drain(cast, woke, stop=woke + 0.1)
    at_once = cast.totals.wire_bytes - spent
    assert 0 < at_once <= (0.1 + 2 * SLACK_S) * RATE  # some hundredths of a second are caught up, not an hour
    assert max(len(burst) for burst in soon) <= BURST_PACKETS
    after, _, now = drain(cast, now, stop=woke + 60)
    assert rows_of([*before, *soon, *after]) == [(chunk, row) for chunk in range(4) for row in range(ROWS)]
    assert now - woke >= 0.9 * (cast.totals.wire_bytes - spent) / RATE - 2 * SLACK_S
    assert cast.poll_event() is None  # nobody is slowed or moved for having slept


def test_a_member_that_slept_for_an_hour_joins_again_and_takes_what_comes() -> None:
    wire = Wire()
    wire.send(0, range(200))
    wire.now = HOUR_S
    wire.reception.handle_timer(wire.now)
    alarms = []
    while (alarm := wire.reception.poll_alarm()) is not None:
        alarms.append(alarm)
    assert alarms == [Alarm.SILENT]  # once, not once a second of the hour
    wire.send(0, range(200, LAYOUT.symbols))
    ready = wire.reception.poll_ready()
    assert ready is not None
    assert ready.chunk == 0
    assert wire.reception.poll_alarm() is None


@pytest.mark.parametrize("now", [-HOUR_S, 0.0])
def test_a_time_that_runs_backwards_stops_neither_side(now: float) -> None:
    """It should not, and it must not be what decides over an image."""
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=1.0)
    drain(cast, 1.0, bursts=2)
    cast.poll_burst(now)
    cast.poll_control(now)
    rest, _, _ = drain(cast, 2.0, stop=60.0)
    assert rows_of(rest)[-1] == (3, ROWS - 1)
    wire = Wire()
    wire.now = 5.0
    wire.send(0, range(200))
    wire.now = now
    wire.send(0, range(200, LAYOUT.symbols))
    wire.reception.handle_timer(now)
    wire.reception.poll_report(now)
    assert wire.reception.poll_ready() is not None


def test_nothing_of_a_cast_asks_the_wall_clock() -> None:
    """So a clock that is set changes nothing; only the time of day of a start (`localtime`) is one."""
    found = []
    for path in Path(transports.multicast.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found += [f"{path.name}: {node.value.id}.{node.attr}"] * ((node.value.id, node.attr) in WALL_CLOCKS)
    assert found == []
