"""What every test may rely on: markers that tell the truth, real devices that are given back, a guard on leaks.

Fixtures: `loop` makes loop devices, `sample_tree` is a folder of files, `ext4_image` and `ntfs_image` are real file
systems in plain files. Mark what needs root with `root`, what needs programs with `tools("name", …)`: elsewhere such
a test is skipped with the reason, in CI (environment CI=true) a skip of it is a failure.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from bench.filesystems import EXT4_TOOLS, NTFS_TOOLS, has_programs, make_ext4, make_ntfs
from bench.loops import backing_files, loop_device, loops_usable

MIB = 1 << 20
IN_CI = os.environ.get("CI") == "true"
LEAK_GRACE_S = 3.0

hypothesis.settings.register_profile("quick", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "quick"))


# ------------------------------------------------------------------------------------------------ markers


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, saying what is missing."""
    if item.get_closest_marker("root") and not loops_usable():
        pytest.skip("needs root and loop devices")
    for marker in item.iter_markers("tools"):
        missing = [name for name in marker.args if not has_programs(name)]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}; .ci/run names the packages")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything is installed: a `root` or `tools` test that did not run is a failure."""
    report = yield
    needs_machine = item.get_closest_marker("root") or item.get_closest_marker("tools")
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and needs_machine:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {call.excinfo.value if call.excinfo else 'no reason given'}"
    return report


# ------------------------------------------------------------------------------------------------ leaks


@pytest.fixture(scope="session", autouse=True)
def mounts_told_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let an `umount` of a test reach the namespaces that hosts of a lab live in.

    Each host (`ip netns exec`) has a copy of all mounts there are when it begins, also of those of a test that runs
    beside it: the file system would stay mounted, and its device taken, until that host ends.
    """
    base = tmp_path_factory.getbasetemp()
    shared = loops_usable() and has_programs("mount", "umount")
    if shared:
        subprocess.run(["mount", "--bind", base, base], check=True)
        subprocess.run(["mount", "--make-shared", base], check=True)
    yield
    if shared:
        subprocess.run(["umount", "--lazy", base], check=False)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a test that leaves a child process, a loop device or a mount of its own behind, and remove it."""
    base = str(tmp_path_factory.getbasetemp())
    before = _children()
    yield
    deadline = time.monotonic() + LEAK_GRACE_S
    while (left := _children() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    mounts = [point for point in _mount_points() if point.startswith(f"{base}/")]
    for point in reversed(mounts):
        subprocess.run(["umount", "--lazy", point], check=False)
    loops = [device for device, file in backing_files().items() if file.startswith(base)]
    for device in loops:
        subprocess.run(["losetup", "--detach", device], check=False)
    if left or mounts or loops:
        pytest.fail(f"left behind: processes {sorted(left)}, mounts {mounts}, loop devices {loops}")


def _children() -> set[int]:
    """Running child processes of this one; those that ended and wait to be collected do not count."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (thread / "children").read_text().split())
    return {pid for pid in found if _state(pid) not in ("Z", "")}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _mount_points() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------ material


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`loop(size_or_file, sector_bytes=512, read_only=False)` gives a loop device. Needs the `root` marker."""
    with contextlib.ExitStack() as devices:

        def make(backing: int | Path, *, sector_bytes: int = 512, read_only: bool = False) -> Path:
            if isinstance(backing, int):
                size, backing = backing, tmp_path / f"loop-{random.getrandbits(32):08x}.img"
                with backing.open("wb") as file:
                    file.truncate(size)
            return devices.enter_context(loop_device(backing, sector_bytes=sector_bytes, read_only=read_only))

        yield make


@pytest.fixture(scope="session")
def sample_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text, bytes that do not compress, a run of zeros, an empty file, a deep path, a link."""
    tree = tmp_path_factory.mktemp("tree")
    rng = random.Random(20)
    deep = tree / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tree / "noise.bin").write_bytes(rng.randbytes(5 * MIB + 123))
    (tree / "text.txt").write_text("".join(f"line {n}: {rng.random()}\n" for n in range(60_000)))
    (tree / "zeros.bin").write_bytes(bytes(2 * MIB))
    (tree / "empty").touch()
    (deep / "leaf.txt").write_text("leaf\n")
    (tree / "link").symlink_to("text.txt")
    return tree


@pytest.fixture(scope="session")
def ext4_image(tmp_path_factory: pytest.TempPathFactory, sample_tree: Path) -> Path:
    """A 64 MiB ext4 with `sample_tree` in it. Copy it before writing. Needs `tools("mke2fs")`."""
    if not has_programs(*EXT4_TOOLS):
        pytest.skip("needs mke2fs")
    image = tmp_path_factory.mktemp("ext4") / "ext4.img"
    make_ext4(image, size=64 * MIB, tree=sample_tree)
    return image


@pytest.fixture(scope="session")
def ntfs_image(tmp_path_factory: pytest.TempPathFactory, sample_tree: Path) -> Path:
    """A 64 MiB NTFS with the plain files of `sample_tree`; copy it before writing. Needs mkntfs and ntfscp."""
    if not has_programs(*NTFS_TOOLS):
        pytest.skip("needs mkntfs and ntfscp")
    image = tmp_path_factory.mktemp("ntfs") / "ntfs.img"
    files = {name: sample_tree / name for name in ("noise.bin", "text.txt", "zeros.bin")}
    make_ntfs(image, size=64 * MIB, files=files)
    return image
