from __future__ import annotations

import pytest

from bench.simnet.swarm.campus import GIGABIT, VANISHED_S, Campus, Outcome

MIB = 1 << 20


def run(seed: int = 1, *, peers: int = 6, subnets: int = 1, chunks: int = 64, until: float = 120.0) -> Outcome:
    campus = Campus(
        chunks=chunks,
        subnets=subnets,
        seed=seed,
        origin_bytes_per_s=subnets * GIGABIT,
        link_bytes_per_s=GIGABIT if subnets > 1 else 0.0,
    )
    for subnet in range(subnets):
        campus.join(peers // subnets, subnet=subnet)
    return campus.until_done(at_most_s=until)


def test_a_room_ends_near_the_bound_with_one_copy_from_the_origin() -> None:
    outcome = run()
    assert outcome.unfinished == []
    assert outcome.ratio < 1.2
    assert outcome.origin_copies == pytest.approx(1.0)
    assert outcome.duplicates == 0
    assert outcome.bytes_by["same"] + outcome.bytes_by["origin"] == 6 * 64 * 4 * MIB


def test_the_same_seed_gives_the_same_figures() -> None:
    assert run(3, peers=4, chunks=12) == run(3, peers=4, chunks=12)
    assert run(3, peers=4, chunks=12).done_s != run(4, peers=4, chunks=12).done_s


def test_each_subnet_gets_the_image_over_its_link_once() -> None:
    outcome = run(peers=6, subnets=2, chunks=32)
    assert outcome.unfinished == []
    assert outcome.link_copies == {0: pytest.approx(1.0), 1: pytest.approx(1.0)}
    assert outcome.bytes_by["other"] == 0


def test_the_rest_finish_when_half_die() -> None:
    campus = Campus(chunks=48, chunk_bytes=MIB, seed=5)
    campus.join(8)
    for number, vanish in enumerate((False, False, True, True)):
        campus.kill(number, at=0.2, vanish=vanish)
    outcome = campus.until_done(at_most_s=120)
    assert outcome.unfinished == []
    assert sorted(outcome.done_s) == [4, 5, 6, 7]


def test_nobody_waits_until_repod_notices_that_a_machine_was_switched_off() -> None:
    campus = Campus(chunks=64, seed=1)
    campus.join(16)
    for number in (0, 5, 10):
        campus.kill(number, at=1.0 + number / 10, vanish=True)
    outcome = campus.until_done(at_most_s=60)
    assert outcome.unfinished == []
    assert outcome.seconds < VANISHED_S


def test_who_comes_late_takes_from_those_who_are_there() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB)
    campus.join(4)
    late = campus.join(4, at=0.5, spread_s=0.4)
    outcome = campus.until_done(at_most_s=60)
    assert outcome.unfinished == []
    assert outcome.origin_copies == pytest.approx(1.0)
    assert max(outcome.done_s[number] for number in late) < 1.5


def test_without_repod_a_swarm_goes_on_with_what_it_has() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB, origin_bytes_per_s=25e6)
    campus.join(4)
    campus.kill_repod(at=0.8)
    outcome = campus.until_done(at_most_s=20)
    assert outcome.unfinished == [0, 1, 2, 3]
    held = [peer.held.tolist() for peer in campus.peers.values()]
    assert held[0] == held[1] == held[2] == held[3]
    assert 0 < sum(held[0]) < 32
