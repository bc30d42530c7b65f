"""The field's tables obey the field's laws."""

from __future__ import annotations

from transports.multicast.fec.gf256 import EXP, LOG, ORDER, times_table


def slow_product(a: int, b: int) -> int:
    """Multiplication as on paper."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return result


def test_powers_of_x_visit_every_element_once() -> None:
    assert sorted(EXP.tolist()) == list(range(1, 256))
    assert all(LOG[EXP[power]] == power for power in range(ORDER))


def test_tables_multiply_as_polynomials_do() -> None:
    for factor in (0, 1, 2, 3, 29, 128, 255):
        assert times_table(factor) == bytes(slow_product(factor, other) for other in range(256))
