"""Does an image travel from source to target, unchanged, over every transport there is? (`make demo`)"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from bench.compare import first_difference, stain
from bench.filesystems import EXT4_TOOLS, NTFS_TOOLS, find_program, has_programs, make_ext4, make_ntfs
from bench.loops import loop_device, loops_usable
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import Daemon, Site
from core.errors import OgcastError
from core.ids import ImageRef
from images.extents import Extents
from images.repository import Repository
from transports.registry import specs

__all__ = ["SCENARIO"]

MIB = 1 << 20
CHECK_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image to send on its way."""

    name: str
    file: Path
    """The raw image, to compare with."""
    kind: str
    """In words."""
    as_device: bool
    """Whether it is imported and restored through loop devices."""
    check: tuple[str, ...] = ()
    """Command that judges the restored file system; the target is added at its end."""


def run(options: Options) -> Outcome:
    """One repository, every source this machine can make, every method of every transport."""
    sources = _sources(options)
    site = Site(options.folder)
    site.init()
    rows: list[Row] = []
    for source in sources:
        options.say(f"importing {source.kind}")
        rows.append(_import(site, source))
    with site.serve() as daemon:
        options.say(f"repod serves at {daemon.url}")
        for source in sources:
            extents = _extents(site, source.name)
            for method in _methods():
                options.say(f"{source.name}: {method}")
                rows.append(_restore(site, daemon, source, method, extents))
    ok = all(row.figures.get("verified") in ("yes", None) for row in rows)
    return Outcome(
        rows=rows,
        material="; ".join(source.kind for source in sources),
        ok=ok,
        summary={"result": "every target is the image" if ok else "NOT every target is the image"},
    )


def _methods() -> list[str]:
    return [f"{spec.protocol}-{target}" for spec in specs().values() for target in ("DIRECT", "CACHE")]


def _sources(options: Options) -> list[Source]:
    """The most real thing that this machine and this user can make."""
    tree = _tree(options.folder / "tree", options.size)
    size = options.size * 2 // MIB * MIB
    found = []
    if has_programs(*EXT4_TOOLS):
        image = options.folder / "ext4.img"
        make_ext4(image, size=size, tree=tree)
        device = loops_usable() and has_programs("partclone.ext4")
        kind = "ext4 partition through partclone" if device else "ext4 in a file"
        check = (find_program("e2fsck") or "", "-fn") if has_programs("e2fsck") else ()
        found.append(Source(name="demo-ext4", file=image, kind=kind, as_device=device, check=check))
    if has_programs(*NTFS_TOOLS, "partclone.ntfs") and loops_usable():
        image = options.folder / "ntfs.img"
        largest = sorted((path for path in tree.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        make_ntfs(image, size=size, files={path.name: path for path in largest[-8:]})
        check = (find_program("ntfsfix") or "", "-n") if has_programs("ntfsfix") else ()
        kind = "NTFS partition through partclone"
        found.append(Source(name="demo-ntfs", file=image, kind=kind, as_device=True, check=check))
    if not found:
        image = options.folder / "raw.img"
        _make_raw(image, tree, size)
        found.append(Source(name="demo-raw", file=image, kind="raw image (mke2fs is not installed)", as_device=False))
    return found


def _tree(tree: Path, used_bytes: int) -> Path:
    """About `used_bytes` of the Python library's own files: every machine that runs this has them."""
    total = 0
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*")):
        if path.is_file() and not path.is_symlink() and "site-packages" not in path.parts:
            target = tree / path.relative_to(library)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            total += path.stat().st_size
        if total >= used_bytes:
            break
    (tree / "noise.bin").write_bytes(random.Random(1).randbytes(max(MIB, used_bytes // 4)))
    return tree


def _make_raw(image: Path, tree: Path, size: int) -> None:
    with image.open("wb") as file:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            if file.tell() < size - MIB:
                file.write(path.read_bytes()[: size - file.tell()])
        file.truncate(size)


def _import(site: Site, source: Source) -> Row:
    with _as_device(source.file, source.as_device, read_only=True) as place:
        cost = site.import_image(place, source.name)
    size = source.file.stat().st_size
    return Row(
        label=f"import {source.name}",
        figures={"MiB": size / MIB, "s": cost.seconds, "MB/s": size / cost.seconds / 1e6},
        note=source.kind,
    )


def _extents(site: Site, name: str) -> Extents:
    with Repository.open(site.repository, read_only=True) as repository, repository.pin(ImageRef(name)) as pinned:
        return pinned.manifest.extents


def _restore(site: Site, daemon: Daemon, source: Source, method: str, extents: Extents) -> Row:
    size = source.file.stat().st_size
    target_file = site.folder / f"target-{source.name}-{method}.img"
    stain(target_file, size)
    cache = site.folder / f"cache-{source.name}-{method}"
    cache.mkdir()
    with _as_device(target_file, source.as_device) as target:
        if method.endswith("-CACHE"):
            words = ["deploy", source.name, str(target), "--method", method, "--cache", str(cache)]
        else:
            words = ["restore", source.name, str(target), "--method", method]
        try:
            cost = site.run(site.ogcast(daemon, *words))
        except OgcastError as error:
            return Row(label=f"{method} {source.name}", figures={"MiB": size / MIB, "verified": "NO"}, note=str(error))
        difference = first_difference(source.file, target, extents)
        complaint = _complaint(source, target)
    target_file.unlink()
    shutil.rmtree(cache, ignore_errors=True)
    good = difference is None and not complaint
    note = complaint or (f"differs at byte {difference}" if difference is not None else "")
    return Row(
        label=f"{method} {source.name}",
        figures={
            "MiB": size / MIB,
            "s": cost.seconds,
            "MB/s": size / cost.seconds / 1e6,
            "verified": "yes" if good else "NO",
        },
        note=note,
    )


def _complaint(source: Source, target: Path) -> str:
    """What the file system's own check says about the target, if it objects."""
    if not source.check:
        return ""
    done = subprocess.run([*source.check, str(target)], capture_output=True, text=True, timeout=CHECK_TIMEOUT_S)
    return "" if done.returncode == 0 else f"{Path(source.check[0]).name}: {(done.stdout + done.stderr)[-200:]}"


def _as_device(file: Path, wanted: bool, *, read_only: bool = False) -> contextlib.AbstractContextManager[Path]:
    return loop_device(file, read_only=read_only) if wanted else contextlib.nullcontext(file)


SCENARIO = Scenario(
    name="demo",
    question="Does an image travel from source to target, unchanged, over every transport there is?",
    run=run,
    size=48 * MIB,
    runs=1,
)
