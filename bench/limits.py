"""What the wire itself allows: the figures that measured ones are compared with."""

from __future__ import annotations

import math

__all__ = ["originals_again", "patience_s", "seconds_on_wire"]

NEGLIGIBLE = 1e-9
PATIENCE, PATIENCE_S = 12, 20.0
"""A transfer is given up after so many times its limit and so many seconds: it has failed, however it would end."""


def seconds_on_wire(image_bytes: float, rate_bits_per_s: float) -> float:
    """The limit of a room: bytes of the image as it travels, over the rate of one link. Headers do not count."""
    return image_bytes * 8 / rate_bits_per_s


def patience_s(limit_s: float) -> float:
    """How long a transfer with this limit is waited for."""
    return PATIENCE * limit_s + PATIENCE_S


def originals_again(loss: float, receivers: int) -> float:
    """Packets sent per packet of the image if lost packets themselves are sent again until all have them.

    Losses are independent for each packet and receiver: the sum of 1 - (1 - p^m)^N over m ≥ 0.
    bench.simnet.theory has the same for parity on demand.
    """
    total, power = 0.0, 1.0
    while True:
        missing = 1.0 if power >= 1 else -math.expm1(receivers * math.log1p(-power))
        total += missing
        if missing < NEGLIGIBLE:
            return total
        power *= loss
