"""How much memory there is, and giving it back: what the C library's allocator does with large blocks."""

from __future__ import annotations

import ctypes
import os

__all__ = ["LARGE_BLOCK_BYTES", "free_memory_bytes", "give_large_blocks_back"]

LARGE_BLOCK_BYTES = 8 * 1024 * 1024
"""Above the usual chunk, which is taken and freed too often for this; below the manifest of a large image."""
_M_MMAP_THRESHOLD = -3  # malloc.h of glibc


def give_large_blocks_back() -> None:
    """Have blocks above LARGE_BLOCK_BYTES return to the system when they are freed; for processes that live long.

    glibc raises that bound by itself, to 32 MiB, when such blocks are freed, and then keeps them in the heap of the
    thread that took them. Nothing happens where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def free_memory_bytes() -> int:
    """What the system says is available; a quarter of the memory there is where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
