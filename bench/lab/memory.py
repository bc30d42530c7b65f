"""Memory for the processes of a race, found before its clock starts.

A virtual machine's host takes free memory back, and to find it again costs 0.6 to 2.5 s of a processor for each GiB. A
room's PC has its memory; the one machine that plays eight of them would pay for it within the race.
"""

from __future__ import annotations

import mmap

import numpy as np

from core.memory import free_memory_bytes

__all__ = ["HOST_BYTES", "find_memory"]

HOST_BYTES = 256 << 20
"""What a client, or another tool, and the kernel for it touch within a race."""
SHARE = 4
"""One part in so many of what the machine has left is the most that is touched."""


def find_memory(hosts: int) -> int:
    """Touch and free as much memory as `hosts` will touch; the bytes.

    Call it last before the clock starts: what is free for long goes back.
    """
    length = min(hosts * HOST_BYTES, free_memory_bytes() // SHARE) // mmap.PAGESIZE * mmap.PAGESIZE
    if length:
        with mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            pages = np.frombuffer(memory, dtype=np.uint8)
            pages[:: mmap.PAGESIZE] = 1
            del pages  # the mapping cannot be closed while it is looked at
    return length
