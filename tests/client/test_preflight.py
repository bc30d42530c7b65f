from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from client.preflight import Needs, open_target
from core.errors import LockedError, PartitionError, ReadOnlyError, TargetTooSmallError, UsageError
from images.repository import Repository

MIB = 1 << 20
NEEDS = Needs(size=8 * MIB, data_bytes=4 * MIB, sector_size=512, alignment=4096)


@pytest.mark.parametrize("target", ["/dev/no-such-disk9", "/dev/null", "/dev/zero", "/tmp", "/no/such/folder/x"])
def test_what_is_no_disk_or_file_is_a_partition_error(target: str) -> None:
    with pytest.raises(PartitionError) as caught:
        open_target(target, NEEDS)
    assert caught.value.exit_code == 3
    assert caught.value.hint


@pytest.mark.parametrize("target", ["", "-", "a\0b"])
def test_what_is_no_path_is_wrong_usage(target: str) -> None:
    with pytest.raises(UsageError):
        open_target(target, NEEDS)


def test_a_name_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((UsageError, PartitionError)):
        open_target(str(tmp_path / ("x" * 300)), NEEDS)


def test_a_new_file_appears_only_when_the_restore_may_begin(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    opened = open_target(str(path), NEEDS)
    assert path.stat().st_size == 0
    opened.abandon()
    assert not path.exists()


def test_an_old_file_is_not_touched_by_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    opened = open_target(str(path), NEEDS)
    opened.abandon()
    assert path.read_bytes() == b"old"


def test_the_files_of_a_repository_are_not_written_over(tmp_path: Path) -> None:
    Repository.create(tmp_path / "repository").close()
    key = tmp_path / "repository" / "signing.key"
    key.write_bytes(b"the only one")
    (tmp_path / "link").symlink_to(key)
    for target in (key, tmp_path / "link", key.with_name("new"), key.parent / "packs" / "new"):
        with pytest.raises(UsageError, match="inside the repository"):
            open_target(str(target), NEEDS)
    assert key.read_bytes() == b"the only one"
    assert not key.with_name("new").exists()


def test_a_file_another_restore_writes_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LockedError) as caught:
            open_target(str(path), NEEDS)
    assert caught.value.exit_code == 4
    assert path.read_bytes() == b"old"


def test_a_file_system_without_room_is_too_small(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with pytest.raises(TargetTooSmallError) as caught:
        open_target(str(path), replace(NEEDS, data_bytes=1 << 60))
    assert caught.value.exit_code == 30
    assert not path.exists()


def test_a_symbolic_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    opened = open_target(str(tmp_path / "link"), NEEDS)
    assert str(tmp_path / "real") in opened.sink.identity
    opened.abandon()


@pytest.mark.root
def test_a_device_too_small_by_one_sector_is_refused_with_the_bytes(loop: Callable[..., Path]) -> None:
    device = loop(NEEDS.size - 512)
    with pytest.raises(TargetTooSmallError, match="512 bytes too small"):
        open_target(str(device), NEEDS)


@pytest.mark.root
def test_a_device_of_the_exact_size_is_taken(loop: Callable[..., Path]) -> None:
    opened = open_target(str(loop(NEEDS.size)), NEEDS)
    assert opened.sink.size == NEEDS.size
    opened.abandon()


@pytest.mark.root
def test_a_mounted_device_is_refused_and_its_mount_point_named(loop: Callable[..., Path], tmp_path: Path) -> None:
    device = loop(16 * MIB)
    subprocess.run(["mke2fs", "-q", str(device)], check=True)
    point = tmp_path / "a mount"
    point.mkdir()
    subprocess.run(["mount", str(device), str(point)], check=True)
    try:
        with pytest.raises(LockedError, match="a mount"):
            open_target(str(device), NEEDS)
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.root
def test_a_device_somebody_holds_exclusively_is_busy(loop: Callable[..., Path]) -> None:
    device = loop(16 * MIB)
    holder = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(LockedError, match="held by another program"):
            open_target(str(device), NEEDS)
    finally:
        os.close(holder)


@pytest.mark.root
def test_two_restores_cannot_hold_one_device(loop: Callable[..., Path]) -> None:
    device = loop(16 * MIB)
    first = open_target(str(device), NEEDS)
    with pytest.raises(LockedError):
        open_target(str(device), NEEDS)
    first.abandon()
    open_target(str(device), NEEDS).abandon()


@pytest.mark.root
def test_a_read_only_device_is_refused(loop: Callable[..., Path]) -> None:
    with pytest.raises(ReadOnlyError) as caught:
        open_target(str(loop(16 * MIB, read_only=True)), NEEDS)
    assert caught.value.exit_code == 14


@pytest.mark.root
def test_a_file_behind_a_loop_device_is_busy(loop: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(16 * MIB))
    loop(path)
    with pytest.raises(LockedError, match="loop"):
        open_target(str(path), NEEDS)


@pytest.mark.root
def test_extents_that_do_not_fit_the_sectors_are_refused(loop: Callable[..., Path]) -> None:
    device = loop(16 * MIB, sector_bytes=4096)
    with pytest.raises(PartitionError, match="sectors of 4096"):
        open_target(str(device), replace(NEEDS, alignment=512))
    opened = open_target(str(device), NEEDS)
    assert opened.notices
    opened.abandon()


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path: Path) -> None:
    link = tmp_path / "disk.img"
    link.symlink_to(tmp_path / "elsewhere.img")
    with pytest.raises(PartitionError, match="leads nowhere"):
        open_target(str(link), NEEDS)
    assert not (tmp_path / "elsewhere.img").exists()


@pytest.mark.root
def test_a_device_below_a_loop_device_is_busy(loop: Callable[..., Path]) -> None:
    below = loop(16 * MIB)
    above = subprocess.run(["losetup", "-f", "--show", below], check=True, capture_output=True, text=True)
    try:
        with pytest.raises(LockedError, match=above.stdout.strip()):
            open_target(str(below), NEEDS)
    finally:
        subprocess.run(["losetup", "-d", above.stdout.strip()], check=True)


@pytest.mark.root
def test_a_file_below_a_loop_device_is_busy_by_any_of_its_names(loop: Callable[..., Path]) -> None:
    device = loop(16 * MIB)
    backing = Path(f"/sys/block/{device.name}/loop/backing_file").read_text().strip()
    other = Path(f"{backing}.other")
    os.link(backing, other)
    with pytest.raises(LockedError, match=device.name):
        open_target(str(other), NEEDS)


def test_what_a_restore_has_changed_stays_and_what_none_has_begun_with_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with pytest.raises(RuntimeError), open_target(str(path), NEEDS):
        raise RuntimeError("something before the restore")
    assert not path.exists()
    with open_target(str(path), NEEDS) as opened:
        opened.close()
    assert path.exists()
