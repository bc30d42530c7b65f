"""kill -9 at random moments of an import: the images stay as they were, and the repository works at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import publish

ROUNDS = 12
SEED = 20
CHUNKS = 24

IMPORT = """
import sys
import images.store.writer
images.store.writer.FLUSH_BYTES = 5 * 65536  # so that every step is met within a short import
from images.repository import Repository
from tests.support.repositories import store
root, seed, chunks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Repository.open(root) as repository:
    print("started", flush=True)
    for step in range(200):
        with repository.writer() as writer:
            manifest = store(writer, seed=seed + step, chunks=chunks, name="killed")
            repository.publish(manifest, sign=None, writer=writer)
        print(step, flush=True)
"""


def test_an_import_killed_at_any_moment_leaves_a_repository_that_works(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    root = tmp_path / "repo"
    with Repository.create(root) as repository:
        publish(repository, seed=1, chunks=4, name="before")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for turn in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", IMPORT, root, str(1000 * turn), str(CHUNKS)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as importer:
            assert importer.stdout is not None
            assert importer.stdout.readline() == "started\n"
            time.sleep(moments.uniform(0, 0.15))
            importer.send_signal(signal.SIGKILL)
            finished = importer.stdout.read().split()
        with Repository.open(root) as repository:
            versions = [entry.ref for entry in repository.images() if entry.name == "killed"]
            # Every version that the importer said is done is there; one more may be, if it died between the two.
            assert len(versions) - len(finished) in (0, 1), f"turn {turn} of seed {SEED}"
            report = repository.verify(workers=1)
            assert report.ok, f"turn {turn} of seed {SEED}: {report}"
            assert repository.find(ImageRef("before")).version == 1
            publish(repository, seed=5000 + turn, chunks=2, name="after")
            for ref in versions:
                repository.remove(ref)
            repository.gc()
            assert repository.verify(workers=1).ok
            assert repository.rebuild_index().incomplete == ()
            stats = repository.stats()
            assert stats.pack_bytes <= 2 * (stats.stored_bytes + 64 * stats.chunks + 16 * stats.packs)
            assert not list(repository.paths.manifests.glob("*/.tmp-*"))
