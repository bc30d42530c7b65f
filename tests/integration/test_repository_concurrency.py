"""A session reads while other processes publish, remove and collect garbage around it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from core.ids import ImageRef
from images.codec import decode_into, verify
from images.repository import Repository
from tests.support.repositories import publish, store

UPKEEP = """
import sys
from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import publish
with Repository.open(sys.argv[1]) as repository:
    for turn in range(12):
        publish(repository, seed=100 + turn, chunks=6, name="passing")
        repository.remove(ImageRef("passing"))
        repository.gc(wait_s=60)
"""


def test_a_session_reads_its_image_whole_while_packs_are_rewritten_around_it(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    with Repository.create(root) as repository:
        for turn in range(6):  # in each pack of these, the image that stays is the smaller part: gc rewrites them
            with repository.writer() as writer:
                repository.publish(store(writer, seed=turn, chunks=8, name=f"gone{turn}"), sign=None, writer=writer)
                repository.publish(store(writer, seed=50, chunks=2 * turn + 2, name="kept"), sign=None, writer=writer)
        session = repository.pin(ImageRef("kept"))
        repository.remove(ImageRef("kept"))
        for turn in range(6):
            repository.remove(ImageRef(f"gone{turn}"))
        stop = threading.Event()
        rounds = 0

        def read() -> None:
            nonlocal rounds
            manifest = session.manifest
            while not stop.is_set() or rounds == 0:
                for chunk in range(manifest.chunk_count):
                    place = repository.locate(manifest.digest(chunk))
                    out = memoryview(bytearray(place.raw_length))
                    decode_into(os.pread(place.fd, place.length, place.offset), place.encoding, out)
                    verify(out, manifest.digest(chunk))
                rounds += 1

        failed: list[BaseException] = []

        def guarded() -> None:
            try:
                read()
            except BaseException as error:
                failed.append(error)

        reader = threading.Thread(target=guarded)
        reader.start()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            command = [sys.executable, "-c", UPKEEP, str(root)]
            others = [subprocess.Popen(command, env=environment) for _ in range(2)]
            assert [other.wait(60) for other in others] == [0, 0]
        finally:
            stop.set()
            reader.join()
        assert not failed
        assert rounds > 0
        session.close()
        assert repository.gc().chunks_kept == repository.stats().chunks
        publish(repository, seed=7)
        assert repository.verify().ok
