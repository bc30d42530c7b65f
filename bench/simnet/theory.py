"""What repair by parity on demand costs at best: the mean number of symbols sent for each symbol of an image."""

from __future__ import annotations

import math

__all__ = ["sent_share"]

BLOCK_SYMBOLS = 188
NEGLIGIBLE = 1e-9


def sent_share(loss: float, clients: int, *, block_symbols: int = BLOCK_SYMBOLS) -> float:
    """E[M] of Nonnenmacher, Biersack and Towsley (SIGCOMM 1997) for an MDS code and independent losses.

    The last of N receivers needs k + L symbols, L being the largest of N draws of a negative binomial:
    E[M] = 1 + 1/k * sum over l >= 0 of 1 - P(L <= l)^N,  P(L <= l) = sum over i <= l of C(k+i-1, i) p^i (1-p)^k.
    """
    if loss <= 0:
        return 1.0
    k = block_symbols
    term = (1 - loss) ** k
    below, total = term, 0.0
    extra = 0
    while (left := -math.expm1(clients * math.log(min(below, 1.0))) if below > 0 else 1.0) > NEGLIGIBLE:
        total += left
        extra += 1
        term *= loss * (k + extra - 1) / extra
        below += term
    return 1 + total / k
