"""Running the commands of a plan, finding what earlier runs left, and removing it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from bench.filesystems import find_program
from bench.lab.plan import Step, take_down
from core.errors import LocalError, OgcastError, UsageError

__all__ = [
    "check_name",
    "folder_of",
    "leftovers",
    "missing",
    "namespaces_of",
    "output_of",
    "perform",
    "remove",
    "run_name",
]

STEP_TIMEOUT_S = 30
KILL_WAIT_S = 5.0
PROGRAMS = ("ip", "tc", "nft", "ethtool", "sysctl")
PREFIX = "oglab-"
_NAME = re.compile(r"[a-z0-9]{1,24}")
_OF_RUN = re.compile(rf"{PREFIX}(?P<lab>run(?P<pid>[0-9]+)x[0-9]+)-[a-z0-9]+")
_ANY = re.compile(rf"{PREFIX}(?P<lab>[a-z0-9]+)-[a-z0-9]+")


def missing() -> str:
    """Why no lab can be built here; empty if one can."""
    if os.geteuid() != 0:
        return "a lab of network namespaces needs root"
    absent = [name for name in PROGRAMS if find_program(name) is None]
    return f"{', '.join(absent)} not installed (apt install iproute2 nftables ethtool procps)" if absent else ""


def run_name(number: int) -> str:
    """Name of the `number`th lab of this process: tells others whose it is and whether it is still in use."""
    return f"run{os.getpid()}x{number}"


def perform(steps: Iterable[Step]) -> None:
    """Run commands in order. OgcastError with what the first one that fails has said."""
    for step in steps:
        output_of(step)


def output_of(step: Step) -> bytes:
    """Run one command and return its standard output."""
    program, *rest = step.words
    path = find_program(program)
    if path is None:
        raise LocalError(f"{program} is not installed", hint=missing() or None)
    done = subprocess.run([path, *rest], input=step.stdin.encode(), capture_output=True, timeout=STEP_TIMEOUT_S)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise OgcastError(f"the lab's command failed: {' '.join(step.words)}: {said or step.stdin[:500]}")
    return done.stdout


def check_name(lab: str) -> str:
    """The name of a lab: it becomes part of names of namespaces, which are looked for by it, and of a folder that is
    deleted. UsageError for one that cannot be."""
    if not _NAME.fullmatch(lab):
        raise UsageError(f"{lab!a} cannot be the name of a lab", hint="up to 24 small letters and digits")
    return lab


def folder_of(lab: str) -> Path:
    """Where the lab's daemons keep their files; `remove` deletes it."""
    check_name(lab)
    return Path("/run") / f"{PREFIX}{lab}"


def namespaces_of(lab: str) -> list[str]:
    """Namespaces that exist of one lab."""
    return [name for name in _namespaces() if (found := _ANY.fullmatch(name)) and found["lab"] == lab]


def leftovers() -> list[str]:
    """Labs of processes that are gone."""
    found = {match["lab"]: int(match["pid"]) for name in _namespaces() if (match := _OF_RUN.fullmatch(name))}
    return sorted(lab for lab, pid in found.items() if not Path(f"/proc/{pid}").exists())


def remove(lab: str) -> int:
    """End what still runs in a lab's namespaces and delete them; returns how many there were. Harmless if none."""
    names = namespaces_of(lab)
    deadline = time.monotonic() + KILL_WAIT_S
    while (inside := [pid for name in names for pid in _processes(name)]) and time.monotonic() < deadline:
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    perform(take_down(names))
    shutil.rmtree(folder_of(lab), ignore_errors=True)
    return len(names)


def _namespaces() -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in Path("/run/netns").iterdir())
    return []


def _processes(name: str) -> list[int]:
    """Running processes in a namespace; those that only wait to be collected by their parent do not count."""
    listed = output_of(Step(words=("ip", "netns", "pids", name))).split()
    return [int(pid) for pid in listed if _state(int(pid)) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
