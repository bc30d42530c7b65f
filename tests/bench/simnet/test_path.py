from __future__ import annotations

import numpy as np

from bench.simnet.path import Path, PathSettings


def path(**settings: object) -> Path:
    return Path(PathSettings(**settings), np.random.default_rng(1))  # type: ignore[arg-type]


def test_a_good_path_carries_everything() -> None:
    assert path().carry(44, 1514, seconds=0.001, now=1.0).all()


def test_losses_are_drawn_for_each_packet_and_counted() -> None:
    lossy = path(loss=0.1)
    came = sum(int(lossy.carry(100, 1514, seconds=0.01, now=float(n)).sum()) for n in range(100))
    assert 8800 < came < 9200
    assert lossy.lost == 10_000 - came


def test_the_same_seed_loses_the_same_packets() -> None:
    one, other = (path(loss=0.1).carry(1000, 1514, seconds=1, now=0.0) for _ in range(2))
    assert (one == other).all()


def test_a_narrow_port_drops_what_its_queue_does_not_hold() -> None:
    narrow = path(rate_bytes_per_s=250_000, queue_bytes=50_000)
    came = sum(int(narrow.carry(100, 1000, seconds=0.1, now=0.1 * n).sum()) for n in range(1, 101))
    assert 2400 < came < 2600
    assert narrow.clogged == 10_000 - came


def test_a_dead_path_carries_nothing_and_a_deaf_one_nothing_of_the_group() -> None:
    dead, deaf = path(dead=((1.0, 2.0),)), path(deaf=((1.0, 2.0),))
    assert not dead.carry(5, 1, seconds=0, now=1.5).any()
    assert not dead.passes(1.5, group=False)
    assert not deaf.passes(1.5, group=True)
    assert deaf.passes(1.5, group=False)
    assert dead.passes(2.0, group=False)
    assert dead.choose(10, 1.0).all()
