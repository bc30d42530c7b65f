from __future__ import annotations

from bench.simnet.swarm.campus import Campus

MIB = 1 << 20


def sources(campus: Campus, number: int) -> set[int]:
    return set(campus.peers[number].swarm.holders.peers)


def members(campus: Campus, *numbers: int) -> set[int]:
    return {campus.peers[number].member for number in numbers}


def two_subnets() -> Campus:
    campus = Campus(chunks=64, subnets=2, chunk_bytes=MIB, origin_bytes_per_s=10e6)
    campus.join(2, subnet=0)
    campus.join(2, subnet=1)
    return campus


def test_neighbours_are_those_of_the_own_subnet() -> None:
    campus = two_subnets()
    campus.clock.run(until=0.5)
    assert sources(campus, 0) == members(campus, 1)
    assert sources(campus, 2) == members(campus, 3)


def test_bridges_are_crossed_only_while_repod_is_out_of_reach() -> None:
    campus = two_subnets()
    campus.kill_repod(at=0.5, back_at=2.0)
    campus.clock.run(until=1.5)
    # Who was there first had nobody elsewhere to be shown.
    assert sources(campus, 3) == members(campus, 0, 1, 2)
    campus.clock.run(until=6.0)
    assert sources(campus, 3) == members(campus, 2)


def test_who_died_is_asked_no_more() -> None:
    campus = two_subnets()
    campus.kill(1, at=0.3)
    campus.clock.run(until=0.5)
    assert sources(campus, 0) == set()
