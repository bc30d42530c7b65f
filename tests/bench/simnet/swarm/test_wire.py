from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.simnet.clock import Clock
from bench.simnet.swarm.wire import Flow, Port, Wire

MIB = 1 << 20


def make(clock: Clock, rate: float = 10 * MIB) -> Wire:
    return Wire(clock, rate, train_bytes=MIB // 4, delay_s=0.0)


def send(clock: Clock, wire: Wire, count: int, *path: Port) -> Callable[[], float]:
    """Begin a flow; the answer tells when its last byte came."""
    came: list[tuple[float, int]] = []
    wire.send(Flow(count, path, arrive=lambda size: came.append((clock.now, size)), sent=lambda: None))

    def end() -> float:
        assert sum(size for _, size in came) == count
        return came[-1][0]

    return end


def test_a_flow_alone_takes_what_the_slowest_link_takes() -> None:
    clock = Clock()
    end = send(clock, make(clock), 10 * MIB, Port(20 * MIB), Port(5 * MIB))
    clock.run(until=10)
    assert end() == pytest.approx(2.0, rel=0.03)


def test_flows_of_one_wire_get_the_same() -> None:
    clock = Clock()
    wire = make(clock)
    ends = [send(clock, wire, 5 * MIB, Port(100 * MIB)) for _ in range(2)]
    clock.run(until=10)
    assert [end() for end in ends] == [pytest.approx(1.0, rel=0.03)] * 2


def test_a_receiver_that_is_busy_leaves_the_wire_to_others() -> None:
    clock = Clock()
    wire = make(clock)
    slow = send(clock, wire, 2 * MIB, Port(1 * MIB))
    fast = send(clock, wire, 8 * MIB, Port(100 * MIB))
    clock.run(until=10)
    assert slow() == pytest.approx(2.0, rel=0.03)
    assert fast() < 1.0


def test_each_byte_is_sent_once() -> None:
    clock = Clock()
    wires, port = [make(clock), make(clock)], Port(10 * MIB)
    ends = [send(clock, wire, 3 * MIB + 1, port) for wire in wires for _ in range(3)]
    clock.run(until=10)
    assert max(end() for end in ends) == pytest.approx(1.8, rel=0.03)
    assert port.bytes == sum(wire.bytes for wire in wires) == 6 * (3 * MIB + 1)


def test_what_was_dropped_is_not_heard_of_again() -> None:
    clock = Clock()
    wire = make(clock)
    heard: list[int] = []
    flow = Flow(10 * MIB, [Port(10 * MIB)], arrive=heard.append, sent=lambda: heard.append(-1))
    wire.send(flow)
    clock.at(0.5, flow.drop)
    clock.run(until=0.5)
    before = len(heard)
    end = send(clock, wire, MIB, Port(10 * MIB))
    clock.run(until=10)
    assert 0 < before == len(heard)
    assert end() == pytest.approx(0.65, abs=0.03)
