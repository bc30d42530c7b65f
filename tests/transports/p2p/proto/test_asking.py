"""A coin that each peer throws for itself, and always the same way."""

from __future__ import annotations

from transports.p2p.proto.asking import coin


def test_about_half_go_to_the_next_holder() -> None:
    heads = sum(coin(seed, 7, chunk) for seed in range(40) for chunk in range(40))
    assert 400 < heads < 1200
    assert coin(1, 2, 3) == coin(1, 2, 3)
