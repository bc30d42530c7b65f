from __future__ import annotations

import errno

import pytest

from client.sinks.base import sink_error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EIO, 3),
        (errno.ENXIO, 3),
        (errno.ENODEV, 3),
        (errno.ENOSPC, 30),
        (errno.EDQUOT, 30),
        (errno.EROFS, 14),
        (errno.EINVAL, 3),
    ],
)
def test_what_the_kernel_says_becomes_a_code_and_names_target_and_place(number: int, code: int) -> None:
    error = sink_error(OSError(number, "reason"), "/dev/sda1", "writing 5 bytes at 7")
    assert error.exit_code == code
    assert str(error) == "/dev/sda1: writing 5 bytes at 7 failed: reason"
