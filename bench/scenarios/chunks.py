"""Which chunk size and zstd level? Ratio, what a second version costs, and how fast both ways are."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard
from blake3 import blake3

from bench.material import LARGE, make_material
from bench.scenario import Options, Outcome, Row, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CHUNK_SIZES = tuple(MIB << shift for shift in range(5))
LEVELS = (1, 2, 3, 4, 5, 6)
WORKERS = len(os.sched_getaffinity(0))


def run(options: Options) -> Outcome:
    """Cut both versions at every chunk size and compress what is new at every level, in a pool as the importer does."""
    options.say("making two versions of a file system from this machine's files")
    material = make_material(options.folder, fs="ext4", used_bytes=options.size, updates=[LARGE])
    data_bytes = material.first.stat().st_blocks * 512
    rows = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for chunk_size in CHUNK_SIZES:
            options.say(f"chunks of {chunk_size // MIB} MiB")
            first = _chunks(material.first, chunk_size)
            second = _chunks(material.updated[0], chunk_size)
            began = time.perf_counter()
            known = set(pool.map(_digest, first))
            digest_s = time.perf_counter() - began
            new = [chunk for chunk in second if _digest(chunk) not in known]
            raw = sum(map(len, first))
            for level in LEVELS:
                began = time.perf_counter()
                frames = list(pool.map(lambda chunk, level=level: _encode(chunk, level), first))
                encode_s = time.perf_counter() - began
                began = time.perf_counter()
                decoded = sum(pool.map(_decode, frames))
                decode_s = time.perf_counter() - began
                if decoded != raw:
                    raise AssertionError("a frame did not decode to its chunk")
                stored = sum(map(len, frames))
                began = time.perf_counter()
                stored_new = sum(map(len, pool.map(lambda chunk, level=level: _encode(chunk, level), new)))
                encode_new_s = time.perf_counter() - began
                rows.append(
                    Row(
                        label=f"{chunk_size // MIB} MiB, level {level}",
                        figures={
                            "stored MiB": stored / MIB,
                            "ratio to data": data_bytes / stored,
                            "compress s": encode_s,
                            "decode s": decode_s,
                            "digest s": digest_s,
                            "2nd: new chunks %": 100 * len(new) / len(second),
                            "2nd: new stored MiB": stored_new / MIB,
                            "2nd: compress s": encode_new_s,
                        },
                    )
                )
    return Outcome(rows=rows, material=material.description, summary={"pool threads": WORKERS})


def _chunks(image: Path, chunk_size: int) -> list[bytes]:
    """Every slot of `image` that holds data; holes (free space) read as zero."""
    fd = os.open(image, os.O_RDONLY)
    try:
        size, position = os.fstat(fd).st_size, 0
        slots: set[int] = set()
        while position < size:
            try:
                start = os.lseek(fd, position, os.SEEK_DATA)
            except OSError:
                break
            position = os.lseek(fd, start, os.SEEK_HOLE)
            slots.update(range(start // chunk_size, -(-position // chunk_size)))
        return [os.pread(fd, chunk_size, slot * chunk_size) for slot in sorted(slots)]
    finally:
        os.close(fd)


def _digest(chunk: bytes) -> bytes:
    return blake3(chunk).digest()


def _encode(chunk: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=level).compress(chunk)


def _decode(frame: bytes) -> int:
    return len(zstandard.ZstdDecompressor().decompress(frame))


SCENARIO = Scenario(
    name="chunks",
    question="Which chunk size and zstd level: ratio, cost of a second version, speed both ways?",
    run=run,
    size=512 * MIB,
    runs=1,
)
