"""Where exports go: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import LockedError, PartitionError, ReadOnlyError, TargetTooSmallError, UsageError
from images.exporters.output import open_output

MIB = 1 << 20


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "export"
    with open_output(str(target)) as output:
        output.write(b"abc")
        output.skip(5)
        output.write(memoryview(b"def"))
        output.skip(1)
        assert not target.exists()
    assert target.read_bytes() == b"abc\0\0\0\0\0def\0"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.write_bytes(b"old")

    def fail() -> None:
        with open_output(str(target)) as output:
            output.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_long_run_of_zeros_is_a_hole(tmp_path: Path) -> None:
    target = tmp_path / "export"
    with open_output(str(target)) as output:
        output.skip(10 * MIB)
    assert target.stat().st_size == 10 * MIB
    assert target.stat().st_blocks == 0


def test_standard_output_gets_every_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_output("-") as output:
        output.write(b"a")
        output.skip(3 * MIB)
        output.finish()
    assert capfdbinary.readouterr().out == b"a" + bytes(3 * MIB)


def test_impossible_targets_are_refused_in_words(tmp_path: Path) -> None:
    for target in (str(tmp_path), "/dev/null", "nul\0"):
        with pytest.raises(UsageError), open_output(target) as output:
            output.write(b"x")


def test_a_full_disk_is_told() -> None:
    from images.exporters.output import Output

    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(TargetTooSmallError, match="no space"):
            Output(fd, "/dev/full", kind="stream").write(b"x" * 100_000)
    finally:
        os.close(fd)


@pytest.mark.root
def test_a_device_is_checked_before_the_first_byte(loop: Callable[..., Path]) -> None:
    device = loop(MIB)
    with pytest.raises(TargetTooSmallError), open_output(str(device), size=MIB + 1):
        pass
    with pytest.raises(UsageError, match="block device"), open_output(str(device)):
        pass
    held = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(LockedError), open_output(str(device), size=MIB):
            pass
    finally:
        os.close(held)
    with pytest.raises(ReadOnlyError), open_output(str(loop(MIB, read_only=True)), size=MIB) as output:
        output.write(b"x")


@pytest.mark.root
def test_a_device_keeps_what_is_skipped(loop: Callable[..., Path], tmp_path: Path) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(b"o" * MIB)
    device = loop(backing)
    with open_output(str(device), size=MIB) as output:
        output.write(b"n" * 512)
        output.skip(512)
        output.write(b"n" * 512)
    with device.open("rb") as file:
        assert file.read(2048) == b"n" * 512 + b"o" * 512 + b"n" * 512 + b"o" * 512


@pytest.mark.parametrize("target", ["/dev/nosuch0", "/nosuch/out.raw"])
def test_a_device_or_folder_that_is_not_there_is_told_and_not_made(target: str) -> None:
    with pytest.raises(PartitionError), open_output(target, size=MIB):
        pass
    assert not Path(target).exists()
