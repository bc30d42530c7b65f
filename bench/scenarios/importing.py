"""How fast is an import against `partclone | zstd` and `partclone | lzop`, and what does a further version cost?"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from bench.filesystems import find_program
from bench.goals import gain_row, reached_of
from bench.loops import loop_device
from bench.material import LARGE, SLIGHT, make_material
from bench.measure import Cost, run_pipeline
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import Site
from bench.stats import ratio, summarise

__all__ = ["SCENARIO"]

MIB = 1 << 20
NAME = "bench"
FILE_SYSTEMS = ("ext4", "ntfs")
UPDATES = {"a slight update": SLIGHT, "a large update": LARGE}
GOALS = {"zstd -T2": 1.0, "a slight update": 3.0}
"""Times as fast as that pipe, and times as fast as the first version."""
COMPRESSORS = {"zstd -T2": ["zstd", "-q", "-T2", "-c"], "lzop": ["lzop", "-c"]}


def run(options: Options) -> Outcome:
    """Each run: a fresh repository takes the first version, then each update; each pipe writes the first to a file."""
    rows: list[Row] = []
    gains: dict[str, tuple[float, float | None]] = {}
    materials = []
    for fs in FILE_SYSTEMS:
        folder = options.folder / fs
        folder.mkdir()
        options.say(f"{fs}: making the material")
        material = make_material(folder, fs=fs, used_bytes=options.size, updates=list(UPDATES.values()))
        materials.append(material.description)
        first: list[Cost] = []
        updates: dict[str, list[Cost]] = {name: [] for name in UPDATES}
        pipes: dict[str, list[Cost]] = {name: [] for name in COMPRESSORS}
        stored: dict[str, int] = {}
        with contextlib.ExitStack() as loops:
            device, *changed = (
                loops.enter_context(loop_device(image, read_only=True)) for image in (material.first, *material.updated)
            )
            for number in range(options.runs + 1):  # the first is the warm-up
                options.say(f"{fs}: {'warm-up' if number == 0 else f'run {number} of {options.runs}'}")
                site = Site(folder)
                site.init()
                one = site.import_image(device, NAME)
                stored["first"] = _bytes_below(site.repository / "packs")
                for update, after in zip(UPDATES, changed, strict=True):
                    before = _bytes_below(site.repository / "packs")
                    cost = site.import_image(after, NAME)
                    stored[update] = _bytes_below(site.repository / "packs") - before
                    if number:
                        updates[update].append(cost)
                shutil.rmtree(site.repository)
                for name, compressor in COMPRESSORS.items():
                    cost, stored[name] = _pipe(fs, device, compressor, folder)
                    if number:
                        pipes[name].append(cost)
                if number:
                    first.append(one)
        rows.append(_row(f"{fs}: repod import, first version", first, stored["first"]))
        for update, costs in updates.items():
            rows.append(_row(f"{fs}: repod import after {update}", costs, stored[update]))
            label = f"{fs}: after {update}, times faster than the first"
            gains[label] = ratio(_seconds(costs), _seconds(first)), GOALS.get(update)
        for name, costs in pipes.items():
            rows.append(_row(f"{fs}: partclone | {name}", costs, stored[name]))
            gains[f"{fs}: times faster than {name}"] = ratio(_seconds(first), _seconds(costs)), GOALS.get(name)
    rows += [gain_row(label, gain, goal) for label, (gain, goal) in gains.items() if goal]
    summary: dict[str, float | str] = {label: gain for label, (gain, goal) in gains.items() if not goal}
    return Outcome(rows=rows, material="; ".join(materials), summary=summary | reached_of(row.figures for row in rows))


def _pipe(fs: str, device: Path, compressor: list[str], folder: Path) -> tuple[Cost, int]:
    partclone = find_program(f"partclone.{fs}") or f"partclone.{fs}"
    target, log = folder / "pipe.img", folder / "partclone.log"
    words = " ".join(compressor)
    cost = run_pipeline(
        [["sh", "-c", f'"{partclone}" -c -s "{device}" -o - -L "{log}" | {words} >"{target}" && sync "{target}"']]
    )
    size = target.stat().st_size
    target.unlink()
    return cost, size


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _seconds(costs: list[Cost]) -> list[float]:
    return [cost.seconds for cost in costs]


def _row(label: str, costs: list[Cost], stored: int) -> Row:
    seconds = summarise(_seconds(costs))
    return Row(
        label=label,
        figures={
            "s": seconds.median,
            "lowest s": seconds.low,
            "highest s": seconds.high,
            "CPU s": summarise([cost.cpu_s for cost in costs]).median,
            "stored MiB": stored / MIB,
        },
    )


SCENARIO = Scenario(
    name="import",
    question="How fast is an import against partclone | zstd -T2 and | lzop, and what does a further version cost?",
    run=run,
    size=1024 * MIB,
    goal="not slower than the zstd pipe; a slightly changed version at least 3 times faster than the first",
)
