"""Does memory stay the same whatever the image's size?"""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

from bench.goals import at_most, reached_of
from bench.measure import peak_of, peak_rss_bytes
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT, Site
from core.errors import OgcastError

__all__ = ["SCENARIO"]

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
SHARED_MEMORY = Path("/dev/shm")
REPOD_GOAL_BYTES, OGCAST_GOAL_BYTES = 250e6, 300e6
DATA_BYTES = 64 * MIB
"""Data in the sparse images; the rest are holes."""


def run(options: Options) -> Outcome:
    """Import, serve and restore images from 1 MiB to more than 16 TiB (sparse), and look at each peak."""
    rows = []
    worst_repod = worst_ogcast = 0
    images = {
        "small": (MIB, MIB),
        "full": (options.size, options.size),
        "sparse 1 TiB": (TIB, DATA_BYTES),
        "sparse 17 TiB": (17 * TIB, DATA_BYTES),
    }
    for label, (size, data_bytes) in images.items():
        options.say(label)
        folder = options.folder / label.replace(" ", "-")
        folder.mkdir()
        source = _make(folder, size, data_bytes)
        if source is None:
            rows.append(Row(label=label, note="no file system here holds a file of that size"))
            continue
        site = Site(folder)
        site.init()
        try:
            imported = peak_of(site.repod("import", site.repository, source, "--name", "bench"), cwd=ROOT)
            with site.serve() as daemon:
                command = site.ogcast(daemon, "restore", "bench", "null:", "--method", "UNICAST-DIRECT")
                restored = peak_of(command, cwd=ROOT)
                served = peak_rss_bytes(daemon.pid)
        except OgcastError as error:
            rows.append(Row(label=label, note=f"failed: {str(error)[-200:]}"))
            continue
        finally:
            source.unlink()
        worst_repod, worst_ogcast = max(worst_repod, imported, served), max(worst_ogcast, restored)
        rows.append(
            Row(
                label=label,
                figures={
                    "image GiB": size / GIB,
                    "repod import peak MiB": imported / MIB,
                    "repod serve peak MiB": served / MIB,
                    "ogcast restore peak MiB": restored / MIB,
                },
            )
        )
    for label, worst, goal in (("repod", worst_repod, REPOD_GOAL_BYTES), ("ogcast", worst_ogcast, OGCAST_GOAL_BYTES)):
        verdict = at_most(worst / 1e6, goal / 1e6, unit=" MB", counts=worst > 0)
        rows.append(Row(label=f"{label}: highest of all", figures={"highest MB": worst / 1e6, **verdict}))
    return Outcome(
        rows=rows,
        material=f"raw images; the sparse ones hold {DATA_BYTES // MIB} MiB of data",
        ok=all("failed" not in row.note for row in rows),
        summary=reached_of(row.figures for row in rows),
    )


def _make(folder: Path, size: int, data_bytes: int) -> Path | None:
    """A file of `size` bytes with `data_bytes` of data that half compresses, in pieces all over it; None if too large.

    ext4 ends at 16 TiB a file; tmpfs does not.
    """
    for place in (folder, SHARED_MEMORY):
        path = place / f"ogcast-bench-{os.getpid()}.img"
        try:
            _fill(path, size, data_bytes)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in (errno.EFBIG, errno.ENOENT, errno.EACCES):
                raise
        else:
            return path
    return None


def _fill(path: Path, size: int, data_bytes: int) -> None:
    rng = random.Random(size)
    piece = rng.randbytes(MIB // 2) + bytes(MIB // 2)
    with path.open("wb") as file:
        file.truncate(size)
        count = data_bytes // MIB
        for number in range(count):
            place = size // count * number // MIB * MIB
            os.pwrite(file.fileno(), number.to_bytes(8, "little") + piece[8:], place)


SCENARIO = Scenario(
    name="memory",
    question="Does memory stay the same whatever the image's size?",
    run=run,
    size=2048 * MIB,
    runs=1,
    goal="repod at most 250 MB and ogcast at most 300 MB resident, whatever the image",
)
