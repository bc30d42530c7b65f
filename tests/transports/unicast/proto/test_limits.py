"""Credits are counted alike on both sides."""

from __future__ import annotations

import pytest

from transports.unicast.proto.limits import CREDIT_BYTES, credits_for


@pytest.mark.parametrize(
    ("length", "credits"), [(0, 1), (1, 1), (CREDIT_BYTES, 1), (CREDIT_BYTES + 1, 2), (16 << 20, 256)]
)
def test_a_credit_pays_for_64_kib_begun(length: int, credits: int) -> None:
    assert credits_for(length) == credits
