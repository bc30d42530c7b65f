"""Loop devices appear with the sector size asked for and are gone afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.loops import backing_files, loop_device
from core.errors import PartitionError


@pytest.mark.root
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_a_device_is_detached_when_its_block_ends(tmp_path: Path, sector_bytes: int) -> None:
    backing = tmp_path / "disk.img"
    backing.write_bytes(bytes(1 << 20))
    with loop_device(backing, sector_bytes=sector_bytes) as device:
        assert backing_files()[str(device)] == str(backing)
        queue = Path("/sys/block") / device.name / "queue" / "logical_block_size"
        assert int(queue.read_text()) == sector_bytes
    assert backing_files().get(str(device)) != str(backing)


@pytest.mark.root
def test_a_missing_backing_file_is_a_documented_error(tmp_path: Path) -> None:
    with pytest.raises(PartitionError), loop_device(tmp_path / "none"):
        pass
