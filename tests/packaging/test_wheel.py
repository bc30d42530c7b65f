"""What is built is what is installed: the wheel carries our packages, and its commands start without the checkout."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"core", "images", "transports", "repod", "client"}


def _pip_usable() -> bool:
    try:
        metadata.distribution("ogcast")
        metadata.distribution("hatchling")
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not _pip_usable(), reason="ogcast and hatchling are not installed here; `make test` does that")
def test_the_wheel_installs_and_its_commands_start(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("ogcast-*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if ".dist-info" not in top} == PACKAGES

    # A fresh environment that borrows the dependencies of this one, but not the checkout.
    place = tmp_path / "fresh"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    (ours,) = place.glob("lib/python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (ours / "borrowed.pth").write_text("\n".join(_without_checkout(Path(path), tmp_path) for path in dependencies))
    for command in ("repod", "ogcast"):
        shown = subprocess.run(
            [place / "bin" / command, "--help"], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert "Usage" in shown.stdout


def _without_checkout(site: Path, folder: Path) -> str:
    """A folder of links to everything in `site` except what makes the checkout importable."""
    view = folder / f"view-{abs(hash(site)):x}"
    view.mkdir()
    for entry in site.iterdir():
        if entry.suffix != ".pth" and not entry.name.startswith("ogcast-"):
            (view / entry.name).symlink_to(entry)
    return str(view)
