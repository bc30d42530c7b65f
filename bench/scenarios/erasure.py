"""What does the erasure code of a multicast block cost, in NumPy and by ISA-L, against zfec?"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from bench.scenario import Options, Outcome, Row, Scenario
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.fec.code import ErasureCode
from transports.multicast.fec.isal import IsalCode, find_code

__all__ = ["SCENARIO"]

SYMBOL_BYTES = 1448
K = 188
BLOCKS = 16
"""Blocks of a stored frame of 4 MiB, interleaved in its memory as a cast has them."""
COUNTS = (1, 2, 4, 7, 12)
"""Parity rows, and losses in a block: what 1 % loss asks for in a small room, 5 % in a large one."""


def run(options: Options) -> Outcome:
    """Encode 4 MiB block by block, and decode them as a client does: zfec by blocks, ours and ISA-L all blocks at once.
    One thread; CPU time, the best of the runs."""
    chunk = np.random.default_rng(1).integers(0, 256, (BLOCKS * K, SYMBOL_BYTES), dtype=np.uint8)
    zfec, ours, found = _zfec(), CauchyCode(), find_code()
    missing = [name for name, there in (("zfec", zfec), ("ISA-L", isinstance(found, IsalCode))) if not there]
    note = f"not installed: {', '.join(missing)}" if missing else ""
    rows = []
    for count in COUNTS:
        options.say(f"{count} rows")
        figures: dict[str, float | str | None] = {
            "NumPy encode MB/s": _rate(chunk, options.runs, _encoder(ours, count)),
            "NumPy decode MB/s": _mending_rate(chunk, options.runs, ours, count),
            "ISA-L encode MB/s": None,
            "ISA-L decode MB/s": None,
            "zfec encode MB/s": None,
            "zfec decode MB/s": None,
        }
        if isinstance(found, IsalCode):
            figures["ISA-L encode MB/s"] = _rate(chunk, options.runs, _encoder(found, count))
            figures["ISA-L decode MB/s"] = _mending_rate(chunk, options.runs, found, count)
        if zfec is not None:
            figures["zfec encode MB/s"] = _rate(chunk, options.runs, _zfec_encoder(zfec, count))
            figures["zfec decode MB/s"] = _rate(chunk, options.runs, _zfec_decoder(zfec, chunk, count))
        rows.append(Row(label=f"{count} of {K}", figures=figures, note=note))
    return Outcome(rows=rows, material=f"{BLOCKS} blocks of {K} symbols of {SYMBOL_BYTES} bytes; MB of source a second")


def _rate(chunk: NDArray[np.uint8], runs: int, work: Callable[[NDArray[np.uint8]], object]) -> float:
    best = float("inf")
    for _ in range(max(3, runs)):
        before = time.thread_time()
        for block in range(BLOCKS):
            work(chunk[block::BLOCKS])
        best = min(best, time.thread_time() - before)
    return chunk.nbytes / best / 1e6


def _mending_rate(chunk: NDArray[np.uint8], runs: int, code: ErasureCode, count: int) -> float:
    """Of a frame of which each block lost `count` symbols, whose places parity has taken."""
    best = float("inf")
    for _ in range(max(3, runs)):
        frame, rows, parity = _damaged(chunk, code, count)
        before = time.thread_time()
        code.decode_frame(frame, BLOCKS, rows, parity)
        best = min(best, time.thread_time() - before)
        if not np.array_equal(frame, chunk):
            raise ArithmeticError("what was decoded is not what was encoded")
    return chunk.nbytes / best / 1e6


def _damaged(
    chunk: NDArray[np.uint8], code: ErasureCode, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    frame = chunk.copy()
    for number in range(BLOCKS):
        frame[number::BLOCKS][_lost(count)] = code.encode(chunk[number::BLOCKS], range(K, K + count))
    rows = (np.array(_lost(count))[:, None] * BLOCKS + np.arange(BLOCKS)).ravel()
    return frame, rows, np.repeat(np.arange(K, K + count), BLOCKS)


def _encoder(code: ErasureCode, count: int) -> Callable[[NDArray[np.uint8]], object]:
    return lambda block: code.encode(block, range(K, K + count))


def _lost(count: int) -> list[int]:
    return list(range(5, K, K // count))[:count]


def _zfec() -> ModuleType | None:
    try:
        return importlib.import_module("zfec")
    except ImportError:
        return None


def _zfec_encoder(zfec: ModuleType, count: int) -> Callable[[NDArray[np.uint8]], object]:
    encoder = zfec.Encoder(K, K + count)
    return lambda block: encoder.encode([row.data for row in block], list(range(K, K + count)))


def _zfec_decoder(zfec: ModuleType, chunk: NDArray[np.uint8], count: int) -> Callable[[NDArray[np.uint8]], object]:
    parity = _zfec_encoder(zfec, count)(chunk[0::BLOCKS])
    lost = _lost(count)
    decoder = zfec.Decoder(K, K + count)
    assert isinstance(parity, list)

    def decode(block: NDArray[np.uint8]) -> object:
        rows, numbers = [row.data for row in block], list(range(K))
        for place, (number, row) in zip(lost, enumerate(parity), strict=True):
            rows[place], numbers[place] = row, K + number
        return decoder.decode(rows, numbers)

    return decode


SCENARIO = Scenario(
    name="erasure",
    question="What does the erasure code of a multicast block cost, in NumPy and by ISA-L, against zfec?",
    run=run,
    size=0,
    runs=5,
    goal="on average at least as fast as zfec, and needing nothing but NumPy",
)
