"""Every kind of sink passes the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.preflight import Needs, open_target
from tests.contract.sinks import CHECKS, MIB, SIZE, Check

NEEDS = Needs(size=SIZE, data_bytes=SIZE, sector_size=512, alignment=4096)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_new_file_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    opened = open_target(str(tmp_path / "disk.img"), NEEDS)
    opened.sink.prepare()
    check(opened.sink)
    opened.sink.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_longer_old_file_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"\xff" * (SIZE + MIB))
    opened = open_target(str(path), NEEDS)
    opened.sink.prepare()
    check(opened.sink)
    opened.sink.close()
    assert path.stat().st_size == SIZE + MIB


@pytest.mark.root
@pytest.mark.parametrize("sector_bytes", [512, 4096])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_block_device_keeps_the_contract(check: Check, sector_bytes: int, loop: Callable[..., Path]) -> None:
    opened = open_target(str(loop(SIZE, sector_bytes=sector_bytes)), NEEDS)
    assert opened.sink.sector_size == sector_bytes
    opened.sink.prepare()
    check(opened.sink)
    opened.sink.close()
