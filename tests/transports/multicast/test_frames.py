"""Frames are read once, ahead, in bounded number, and what the disk cannot give is said."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from core.errors import ChunkError
from tests.support.casts import SYMBOL_BYTES, StoredImage
from transports.multicast.frames import AHEAD_MAX, FRAMES_BYTES, FRAMES_LEAST, FRAMES_MAX, Frames, places_for

LENGTHS = (1, SYMBOL_BYTES, SYMBOL_BYTES + 1, 50_000, *(3000 + n for n in range(2 * FRAMES_LEAST)))
LARGE_CHUNK_BYTES = FRAMES_BYTES // FRAMES_LEAST
"""Of chunks of this size no more than the least number of frames is kept."""


@pytest.fixture
def image() -> Iterator[StoredImage]:
    with StoredImage(*LENGTHS) as made:
        yield made


@pytest.fixture
def frames(image: StoredImage) -> Iterator[Frames]:
    made = Frames(image.locate, symbol_bytes=SYMBOL_BYTES, chunk_bytes=LARGE_CHUNK_BYTES)
    yield made
    made.close()
    made.close()


def test_a_frame_comes_in_symbols_filled_with_zeros(image: StoredImage, frames: Frames) -> None:
    for chunk, stored in enumerate(image.frames):
        frame = frames.get(chunk)
        assert frame.shape == (-(-len(stored) // SYMBOL_BYTES), SYMBOL_BYTES)
        assert frame.tobytes() == stored.ljust(frame.size, b"\0"), "memory used before leaves no trace"
        assert frames.stored(chunk) == (len(stored), 0)


def test_what_was_read_ahead_is_not_read_again(frames: Frames) -> None:
    frames.read_ahead(range(5))
    for chunk in (0, 1, 2, 3, 4, 0, 4):
        frames.get(chunk)
    assert frames.reads == 5


def test_a_frame_asked_for_last_is_read_again_once_its_memory_went_to_another(
    image: StoredImage, frames: Frames
) -> None:
    frames.get(3)
    for start in range(4, 4 + 2 * FRAMES_LEAST - AHEAD_MAX, AHEAD_MAX):
        frames.read_ahead(range(start, start + AHEAD_MAX))
        for future in list(frames._frames.values()):
            future.result()
    assert frames.get(3).tobytes().startswith(image.frames[3])


def test_a_frame_asked_for_many_times_is_the_one_used_last(frames: Frames) -> None:
    frames.get(0)
    frames.read_ahead(range(1, 6))
    frames.get(0)
    for chunk in range(6, 6 + FRAMES_LEAST - 1):
        frames.get(chunk)
    reads = frames.reads
    frames.get(0)
    assert frames.reads == reads


def test_no_more_than_the_bound_is_held_and_what_is_wanted_stays(image: StoredImage, frames: Frames) -> None:
    frames.get(0)
    for start in range(len(LENGTHS)):
        frames.read_ahead(range(start, min(start + 5, len(LENGTHS))))
        frames.get(start)
    assert len(frames._frames) <= FRAMES_LEAST
    assert frames.reads == len(LENGTHS)
    frames.read_ahead(range(len(LENGTHS)))
    assert len(frames._frames) <= FRAMES_LEAST
    assert frames.get(0).tobytes()[:1] == image.frames[0]


def test_what_was_just_sent_stays_for_repairs_however_much_is_to_come(frames: Frames) -> None:
    sent = range(FRAMES_LEAST - AHEAD_MAX + 1)
    for chunk in sent:
        frames.read_ahead(range(chunk, len(LENGTHS)))
        frames.get(chunk)
    reads = frames.reads
    for chunk in sent:
        frames.get(chunk)
    assert frames.reads == reads


def test_a_frame_not_read_yet_is_waited_for_and_counted(frames: Frames) -> None:
    for chunk in range(4, 4 + FRAMES_LEAST + 3):
        frames.get(chunk)
    assert frames.stalls > 0
    assert np.array_equal(frames.get(4), frames.get(4))


def test_a_chunk_the_store_lost_is_an_error_until_it_is_back(image: StoredImage, frames: Frames) -> None:
    image.lost.add(3)
    with pytest.raises(ChunkError, match="no chunk 3"):
        frames.stored(3)
    frames.read_ahead([3])
    with pytest.raises(ChunkError, match="no chunk 3"):
        frames.get(3)
    image.lost.clear()
    assert frames.get(3).size >= 50_000


def test_a_file_that_ends_early_is_an_error(image: StoredImage, frames: Frames) -> None:
    image.truncate(100)
    with pytest.raises(ChunkError, match="ends inside chunk 3"):
        frames.get(3)
    assert frames.get(0).tobytes()[:1] == image.frames[0]


def test_what_repairs_need_is_kept_before_what_was_used_longer_ago(frames: Frames) -> None:
    for chunk in range(FRAMES_LEAST):
        frames.get(chunk)
    frames.get(0)
    frames.get(FRAMES_LEAST)
    reads = frames.reads
    frames.get(0)
    assert frames.reads == reads


def test_the_smaller_chunks_are_the_more_of_them_are_kept() -> None:
    assert places_for(4 << 20) == FRAMES_LEAST == places_for(64 << 20)
    assert places_for(1 << 20) == FRAMES_BYTES >> 20
    assert places_for(1 << 16) == FRAMES_MAX
