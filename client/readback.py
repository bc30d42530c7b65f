"""Read-back: compare what lies on a target with the digests of the image, in a pool, with bounded memory.

Serves the start of a resumed restore (are the chunks the journal names really there?) and its end (--verify).
SKIP bytes are masked as zero before hashing, because a digest takes them so and anything may lie there.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from client.proto.plan import RestorePlan
from client.sinks.base import Sink
from core.errors import ChunkError, TransferError
from core.ids import ChunkIndex
from images import codec

__all__ = ["SAMPLE_CHUNKS", "VerifyMode", "check_zeros", "matching_chunks"]

SAMPLE_CHUNKS = 128
"""Chunks read back by --verify sample: finds a target that lost one in fifty writes with 92 % probability."""
_ZERO_STEP_BYTES = 4 << 20


class VerifyMode(enum.StrEnum):
    """What --verify reads back from the target after the final fsync."""

    NONE = "none"
    SAMPLE = "sample"
    FULL = "full"


def matching_chunks(
    sink: Sink,
    plan: RestorePlan,
    chunks: Iterable[ChunkIndex],
    *,
    workers: int,
    on_checked: Callable[[int, bool], None] | None = None,
    cancelled: threading.Event | None = None,
) -> set[int]:
    """Those of `chunks` that lie on the target as they should. Blocks; takes `workers` + 1 chunks of memory.

    `on_checked(chunk, good)` is called on the calling thread. Ends early, with what it knows, once `cancelled` is set.
    """
    good: set[int] = set()
    todo = iter(chunks)
    buffers = threading.local()

    def examine(chunk: ChunkIndex) -> bool:
        if not hasattr(buffers, "memory"):
            buffers.memory = memoryview(bytearray(plan.manifest.chunk_size))
        return _matches(sink, plan, chunk, buffers.memory)

    with ThreadPoolExecutor(workers, thread_name_prefix="ogcast-check") as pool:
        running: list[tuple[ChunkIndex, Future[bool]]] = []
        while True:
            if cancelled is None or not cancelled.is_set():
                running += [(chunk, pool.submit(examine, chunk)) for chunk in islice(todo, workers + 1 - len(running))]
            if not running:
                return good
            chunk, answer = running.pop(0)
            matches = answer.result()
            if matches:
                good.add(chunk)
            if on_checked is not None:
                on_checked(chunk, matches)


def check_zeros(sink: Sink, plan: RestorePlan, *, cancelled: threading.Event | None = None) -> None:
    """Raise TransferError unless every ZERO extent of the image reads as zero. Blocks."""
    memory = memoryview(bytearray(_ZERO_STEP_BYTES))
    for start, stop in plan.zero_ranges():
        for at in range(start, stop, _ZERO_STEP_BYTES):
            if cancelled is not None and cancelled.is_set():
                return
            piece = memory[: min(_ZERO_STEP_BYTES, stop - at)]
            sink.read(at, piece)
            if bytes(piece).count(0) != len(piece):
                raise TransferError(
                    f"{sink.name}: bytes at {at} do not read back as zero",
                    hint="the device does not keep what is written to it; do not use it",
                )


def _matches(sink: Sink, plan: RestorePlan, chunk: ChunkIndex, memory: memoryview) -> bool:
    start, stop = plan.manifest.span(chunk)
    content = memory[: stop - start]
    sink.read(start, content)
    for offset, length in plan.free_runs(chunk):
        content[offset - start : offset - start + length] = bytes(length)
    try:
        codec.verify(content, plan.manifest.digest(chunk))
    except ChunkError:
        return False
    return True
