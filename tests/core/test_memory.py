"""A process that lives long gives the memory of large blocks back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from core.memory import LARGE_BLOCK_BYTES, free_memory_bytes

PROGRAM = """
import re
from core.memory import LARGE_BLOCK_BYTES, give_large_blocks_back

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

give_large_blocks_back()
first = bytearray(b"x") * (LARGE_BLOCK_BYTES + 4096)
del first  # from here on glibc would take blocks of that size from its heap
blocks, pins = [], []
for _ in range(4):
    blocks.append(bytearray(b"x") * (LARGE_BLOCK_BYTES + 4096))
    pins.append(bytearray(100_000))  # on top of the heap: it could not shrink
before = resident()
blocks.clear()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_large_blocks_go_back_when_they_are_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 3 * LARGE_BLOCK_BYTES  # the kernel counts in batches


def test_the_system_says_how_much_is_free() -> None:
    assert free_memory_bytes() > 1 << 20
