"""Memory for the processes of a race, found before its clock starts.

A virtual machine's host takes free memory back, and to find it again costs 0.6 to 2.5 s of a processor for each GiB. A
room's PC has its memory; the one machine that plays eight of them would pay for it within the race.

Free memory goes back two seconds after it was freed, in blocks of 2 MiB (free page reporting, mm/page_reporting.c), and
while gigabytes go, the machine stands still for a tenth of a second to one. So a page here and there is held until the
race is over: the pages between may be taken by anybody, and are no block that goes back.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator

import numpy as np

from core.memory import free_memory_bytes

__all__ = ["HELD_EVERY_BYTES", "HOST_BYTES", "find_memory"]

HOST_BYTES = 256 << 20
"""What a client, or another tool, and the kernel for it touch within a race."""
SHARE = 4
"""One part in so many of what the machine has left is the most that is touched."""
HELD_EVERY_BYTES = 512 << 10
"""One page in so many bytes is held; neighbours need not be neighbours in the machine's memory, so there are some in
each block."""


@contextlib.contextmanager
def find_memory(hosts: int) -> Iterator[int]:
    """Touch as much memory as `hosts` will touch, and free it but for a page here and there until the `with` ends, in
    which the race should begin at once. Gives how many bytes were touched."""
    length = min(hosts * HOST_BYTES, free_memory_bytes() // SHARE) // mmap.PAGESIZE * mmap.PAGESIZE
    if not length:
        yield 0
        return
    with mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # of one of these, parts are not freed
        pages = np.frombuffer(memory, dtype=np.uint8)
        pages[:: mmap.PAGESIZE] = 1
        del pages  # the mapping cannot be closed while it is looked at
        for held in range(0, length, HELD_EVERY_BYTES):
            between = min(HELD_EVERY_BYTES, length - held) - mmap.PAGESIZE
            if between:
                memory.madvise(mmap.MADV_DONTNEED, held + mmap.PAGESIZE, between)
        yield length
