"""How much faster is a restore than the pipe used today, `lzop -dc X.img | partclone.restore`?"""

from __future__ import annotations

import os
from pathlib import Path

from bench.compare import first_difference, stain
from bench.filesystems import find_program
from bench.goals import gain_row, reached_of
from bench.loops import loop_device
from bench.material import make_material
from bench.measure import Cost, run_pipeline
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import Daemon, Site
from bench.stats import ratio, summarise
from core.ids import ImageRef
from images.extents import Extents
from images.repository import Repository

__all__ = ["SCENARIO"]

MIB = 1 << 20
NAME = "bench"
GOAL = 2.0
"""Times as fast as lzop and partclone."""
FILE_SYSTEMS = ("ext4", "ntfs")


def run(options: Options) -> Outcome:
    """Both write the same image to the same kind of loop device and end with everything on it."""
    rows: list[Row] = []
    gains: dict[str, float] = {}
    materials = []
    ok, lacking = True, None
    for fs in FILE_SYSTEMS:
        folder = options.folder / fs
        folder.mkdir()
        options.say(f"{fs}: making the material")
        material = make_material(folder, fs=fs, used_bytes=options.size)
        materials.append(material.description)
        size = material.first.stat().st_size
        site = Site(folder)
        site.init()
        image = folder / "X.img"
        with loop_device(material.first, read_only=True) as source:
            site.import_image(source, NAME)
            _capture(fs, source, image, folder)
        with Repository.open(site.repository, read_only=True) as repository, repository.pin(ImageRef(NAME)) as pinned:
            extents, data_bytes = pinned.manifest.extents, pinned.manifest.data_bytes
        target_file = folder / "target.img"
        ours: list[Cost] = []
        theirs: list[Cost] = []
        with site.serve() as daemon:
            for number in range(options.runs + 1):  # the first is the warm-up
                options.say(f"{fs}: {'warm-up' if number == 0 else f'run {number} of {options.runs}'}")
                one, wrong = _ours(site, daemon, target_file, size, material.first, extents)
                other, lacking = _theirs(image, target_file, size, folder, material.first, extents)
                ok = ok and wrong is None
                if number:
                    ours.append(one)
                    theirs.append(other)
        # partclone does not keep what lies behind the last block, such as the backup boot sector of NTFS.
        differs = "" if lacking is None else f"target is not the source from byte {lacking} of {size}"
        cores = f"{os.cpu_count()} cores shared by both ends"
        rows.append(_row(f"{fs}: ogcast restore", ours, data_bytes, note=cores))
        rows.append(_row(f"{fs}: lzop and partclone", theirs, data_bytes, note=differs))
        gains[f"{fs}: times faster"] = ratio([cost.seconds for cost in ours], [cost.seconds for cost in theirs])
    rows += [gain_row(label, gain, GOAL) for label, gain in gains.items()]
    return Outcome(rows=rows, material="; ".join(materials), ok=ok, summary=reached_of(row.figures for row in rows))


def _capture(fs: str, source: Path, image: Path, folder: Path) -> None:
    """The image file as OpenGnsys makes it."""
    partclone = find_program(f"partclone.{fs}") or f"partclone.{fs}"
    log = folder / "partclone.log"
    run_pipeline([[partclone, "-c", "-s", source, "-o", "-", "-L", log], ["lzop", "-c"]], stdout=image)


def _ours(
    site: Site, daemon: Daemon, target_file: Path, size: int, source: Path, extents: Extents
) -> tuple[Cost, int | None]:
    stain(target_file, size)
    with loop_device(target_file) as target:
        cost = site.run(site.ogcast(daemon, "restore", NAME, target, "--method", "UNICAST-DIRECT"))
        return cost, first_difference(source, target, extents)


def _theirs(
    image: Path, target_file: Path, size: int, folder: Path, source: Path, extents: Extents
) -> tuple[Cost, int | None]:
    stain(target_file, size)
    partclone = find_program("partclone.restore") or "partclone.restore"
    log = folder / "partclone.log"
    with loop_device(target_file) as target:
        restore = f'lzop -dc "{image}" | "{partclone}" -d0 -C -I -s - -O "{target}" -L "{log}" && sync "{target}"'
        cost = run_pipeline([["sh", "-c", restore]])
        return cost, first_difference(source, target, extents)


def _row(label: str, costs: list[Cost], data_bytes: int, *, note: str) -> Row:
    seconds = summarise([cost.seconds for cost in costs])
    return Row(
        label=label,
        figures={
            "s": seconds.median,
            "lowest s": seconds.low,
            "highest s": seconds.high,
            "data MB/s": data_bytes / seconds.median / 1e6,
            "CPU s": summarise([cost.cpu_s for cost in costs]).median,
        },
        note=note,
    )


SCENARIO = Scenario(
    name="restore",
    question="How much faster is a restore from a local repod than `lzop -dc X.img | partclone.restore`?",
    run=run,
    size=1024 * MIB,
    goal="at least 2 times faster, each of our targets compared with its source",
)
