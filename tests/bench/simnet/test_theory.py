from __future__ import annotations

import pytest

from bench.simnet.theory import sent_share


@pytest.mark.parametrize(
    ("loss", "clients", "k", "share"),
    [
        (0.01, 10, 188, 1.0226),
        (0.01, 100, 188, 1.0327),
        (0.05, 100, 188, 1.1006),
        (0.001, 30, 188, 1.0075),
        (0.10, 100, 188, 1.181),
        (0.01, 100, 16, 1.112),
    ],
)
def test_it_gives_the_published_table(loss: float, clients: int, k: int, share: float) -> None:
    assert sent_share(loss, clients, block_symbols=k) == pytest.approx(share, abs=0.0006)


def test_without_loss_everything_is_sent_once() -> None:
    assert sent_share(0.0, 1000) == 1.0
