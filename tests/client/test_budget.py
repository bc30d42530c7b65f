from __future__ import annotations

import pytest

from client.budget import FRAME_BUDGET_BYTES, RAW_BUDGET_BYTES, SLOTS_MAX, SLOTS_MIN, WORKERS_MAX, budget_for


@pytest.mark.parametrize("chunk_size", [1 << bits for bits in range(16, 25)])
def test_every_chunk_size_fits_the_budget(chunk_size: int) -> None:
    budget = budget_for(chunk_size, cores=64)
    assert SLOTS_MIN <= budget.frame_slots <= SLOTS_MAX
    assert SLOTS_MIN <= budget.raw_slots <= SLOTS_MAX
    assert budget.frame_slots * budget.frame_bytes <= FRAME_BUDGET_BYTES
    assert budget.raw_slots * budget.raw_bytes <= RAW_BUDGET_BYTES
    assert budget.workers == WORKERS_MAX


def test_one_core_decodes_with_one_thread() -> None:
    assert budget_for(1 << 20, cores=1).workers == 1
