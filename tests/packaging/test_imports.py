"""The installed names are ours, whoever imports them from wherever."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("core", "images", "transports", "repod", "client")


def _installed() -> bool:
    try:
        return bool(metadata.distribution("ogcast").files)
    except metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(not _installed(), reason="ogcast is not installed in this environment; `make test` does that")
@pytest.mark.parametrize("name", NAMES)
def test_each_top_level_name_is_ours_from_any_folder(name: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-I", "-c", f"import {name}; print({name}.__file__ or list({name}.__path__)[0])"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).is_relative_to(ROOT / name)


@pytest.mark.parametrize("name", NAMES)
def test_no_dependency_brings_one_of_our_names(name: str) -> None:
    owners = set(metadata.packages_distributions().get(name, []))
    assert owners <= {"ogcast"}
