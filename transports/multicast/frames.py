"""Stored frames ahead of the pace: read by one thread, a bounded number at a time, cut in symbols."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from core.errors import ChunkError
from images.stores import StoredChunk
from transports.multicast.proto.layout import Layout

__all__ = ["AHEAD_MAX", "FRAMES_BYTES", "FRAMES_LEAST", "FRAMES_MAX", "Frames", "places_for"]

FRAMES_BYTES = 48 << 20
"""Memory for frames: the one being sent, those read ahead, those just sent that repairs will be asked of. When a room
begins, its first repairs are of what was sent a second or two before: to read that again, chunk by chunk, leaves the
wire idle."""
FRAMES_LEAST, FRAMES_MAX = 12, 64
"""So many frames at least, and at most: chunks may be large, or very small."""
AHEAD_MAX = 5
"""How many of them are read ahead at most, the one being sent included: the others are kept for repairs."""
_LOCATED_MAX = 4096


def places_for(chunk_bytes: int) -> int:
    """Frames that are kept of an image with chunks of this size."""
    return min(FRAMES_MAX, max(FRAMES_LEAST, FRAMES_BYTES // chunk_bytes))


class Frames:
    """Stored frames of one image as arrays of symbols. Use from one thread, the sender's.

    `locate` says where a chunk lies (ChunkReader.locate of its digest); it is called from both threads.
    `chunk_bytes` is the size of the image's chunks, which no frame exceeds.
    """

    def __init__(self, locate: Callable[[int], StoredChunk], *, symbol_bytes: int, chunk_bytes: int) -> None:
        self._locate = locate
        self._symbol_bytes = symbol_bytes
        self._places = places_for(chunk_bytes)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="multicast-read")
        self._frames: OrderedDict[int, Future[NDArray[np.uint8]]] = OrderedDict()
        self._lengths: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._spare: list[NDArray[np.uint8]] = []
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        """What `get` gave last, while it is the frame used last: trains ask for one frame many times in a row."""
        self.reads = 0
        self.stalls = 0
        """Frames that were needed before they were read."""

    def stored(self, chunk: int) -> tuple[int, int]:
        """(stored length, encoding) of a chunk. Raises ChunkError if the store does not hold it."""
        known = self._lengths.get(chunk)
        if known is None:
            found = self._locate(chunk)
            known = self._lengths[chunk] = (found.length, int(found.encoding))
            if len(self._lengths) > _LOCATED_MAX:
                self._lengths.popitem(last=False)
        return known

    def read_ahead(self, chunks: Iterable[int]) -> None:
        """Start reading `chunks`, the most urgent first, as far as there is room. Never waits."""
        wanted = list(chunks)[:AHEAD_MAX]
        for chunk in wanted:
            if chunk in self._frames:
                continue
            if len(self._frames) >= self._places and not self._drop_one(wanted):
                return
            self._start(chunk)

    def get(self, chunk: int) -> NDArray[np.uint8]:
        """The frame as rows of one symbol, the last filled with zeros; valid until the next call of any method.

        Waits for the disk if it must. Raises ChunkError if the store does not hold the chunk, OSError if it cannot
        be read.
        """
        if self._last is not None and self._last[0] == chunk:
            return self._last[1]
        future = self._frames.get(chunk)
        if future is None:
            if len(self._frames) >= self._places:
                self._drop_one((), wait=True)
            future = self._start(chunk)
        if not future.done():
            self.stalls += 1
        self._frames.move_to_end(chunk)
        try:
            frame = future.result()
        except BaseException:
            del self._frames[chunk]
            raise
        self._last = chunk, frame
        return frame

    def close(self) -> None:
        """Forget everything and end the reader; waits for the read under way. Harmless when repeated."""
        self._reader.shutdown(cancel_futures=True)
        self._last = None
        self._frames.clear()
        self._spare.clear()

    def _start(self, chunk: int) -> Future[NDArray[np.uint8]]:
        self._last = None
        memory = self._spare.pop() if self._spare else None
        future = self._frames[chunk] = self._reader.submit(self._read, chunk, memory)
        self.reads += 1
        return future

    def _drop_one(self, wanted: Iterable[int], *, wait: bool = False) -> bool:
        """Forget the frame unused for longest that is not `wanted`; False if there is none."""
        keep = set(wanted)
        self._last = None  # its memory may go to another chunk
        for chunk, future in self._frames.items():
            if chunk in keep or not (wait or future.done()):
                continue
            del self._frames[chunk]
            if future.exception() is None:
                base = future.result().base
                self._spare.append(base if isinstance(base, np.ndarray) else future.result())
            return True
        return False

    def _read(self, chunk: int, memory: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """On the reader's thread."""
        found = self._locate(chunk)
        layout = Layout(found.length, self._symbol_bytes)
        if memory is None or memory.size < layout.padded_bytes:
            memory = np.empty(layout.padded_bytes, dtype=np.uint8)
        frame = memory[: layout.padded_bytes]
        view = frame.data[: found.length]
        at = 0
        while at < found.length:
            count = os.preadv(found.fd, [view[at:]], found.offset + at)
            if count == 0:
                raise ChunkError(f"the store ends inside chunk {chunk}", hint="repod verify")
            at += count
        frame[found.length :] = 0
        return frame.reshape(layout.symbols, self._symbol_bytes)
