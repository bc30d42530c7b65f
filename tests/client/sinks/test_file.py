from __future__ import annotations

from pathlib import Path

import pytest

from client.preflight import Needs, open_target
from core.errors import PartitionError

MIB = 1 << 20
NEEDS = Needs(size=8 * MIB, data_bytes=8 * MIB, sector_size=512, alignment=0)


def test_a_new_file_stays_sparse_where_nothing_is_written(tmp_path: Path) -> None:
    opened = open_target(str(tmp_path / "disk.img"), NEEDS)
    opened.sink.prepare()
    opened.sink.write(MIB, [memoryview(b"x" * 4096)])
    opened.sink.zero(2 * MIB, 3 * MIB)
    opened.sink.flush()
    opened.sink.close()
    facts = (tmp_path / "disk.img").stat()
    assert facts.st_size == 8 * MIB
    assert facts.st_blocks * 512 < MIB


def test_a_shorter_file_grows_only_when_the_restore_begins(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    opened = open_target(str(path), NEEDS)
    assert path.stat().st_size == 3
    opened.sink.prepare()
    assert path.stat().st_size == 8 * MIB
    opened.sink.close()


def test_a_file_that_is_removed_meanwhile_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    opened = open_target(str(path), NEEDS)
    opened.sink.prepare()
    opened.sink.write(0, [memoryview(b"x" * 4096)])
    opened.sink.flush()
    path.unlink()
    with pytest.raises(PartitionError, match="removed"):
        opened.sink.flush()
    opened.sink.close()
