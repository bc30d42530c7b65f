from __future__ import annotations

import pytest

from images.memstore import MemoryStore
from tests.contract.stores import CHECKS, Check, Store


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_memory_store_keeps_the_contract(check: Check) -> None:
    with MemoryStore() as memory:
        check(Store(reader=memory, writer=memory, settle=lambda: None))
