"""The quantiles that NumPy gives, without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.quantile import quantile, quantile_below

figures = st.lists(st.floats(0, 1e6), min_size=1, max_size=30)
shares = st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 1.0])


@given(figures, shares)
def test_they_are_those_of_numpy(values: list[float], share: float) -> None:
    assert quantile(values, share) == pytest.approx(np.quantile(values, share))
    assert quantile_below(values, share) == np.quantile(values, share, method="lower")


def test_of_nothing_there_is_none() -> None:
    assert quantile([], 0.5) is quantile_below([], 0.5) is None
