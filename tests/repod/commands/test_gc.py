"""repod gc: frees what is removed, keeps what is not."""

from __future__ import annotations

import random


def packs(layout) -> int:
    return sum(path.stat().st_size for path in (layout.root / "packs").iterdir())


def test_removed_images_are_freed_and_the_others_stay_whole(repod, layout, publish) -> None:
    publish("win", random.Random(1).randbytes(500_000))
    publish("linux", random.Random(2).randbytes(500_000))
    before = packs(layout)
    repod("rm", layout.root, "win")
    assert repod("gc", layout.root, "--dry-run").code == 0
    assert packs(layout) == before
    report = repod("gc", layout.root, "--json")
    assert (report.code, report.json["event"], report.json["dry_run"]) == (0, "done", False)
    assert packs(layout) < before
    assert repod("verify", layout.root).code == 0


def test_a_path_too_long_for_any_folder_is_no_fault_of_this_program(repod, tmp_path) -> None:
    assert repod("gc", tmp_path / ("x" * 256)).code == 23
