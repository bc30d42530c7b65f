"""The facts without which a figure means nothing: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from bench.filesystems import find_program
from core.version import __version__

__all__ = ["commit_of", "machine_facts"]

COMMAND_TIMEOUT_S = 10
PROGRAMS = {
    "partclone": ["partclone.info", "-v"],
    "lzop": ["lzop", "--version"],
    "zstd": ["zstd", "--version"],
    "samba": ["smbd", "--version"],
    "nftables": ["nft", "--version"],
}
FIGURES = (":!bench/results", ":!docs")
"""What saving one scenario changes before the next one runs."""
LIBRARIES = ("zstandard", "blake3", "numpy", "uvloop", "aiohttp")


def machine_facts() -> dict[str, str]:
    """Facts about this machine and this checkout, all as text."""
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "ogcast": __version__,
        "commit": commit_of(Path(__file__).parents[1]),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    for name, command in PROGRAMS.items():
        if (program := find_program(command[0])) is not None:
            facts[name] = _output([program, *command[1:]]).partition("\n")[0]
    for library in LIBRARIES:
        facts[library] = metadata.version(library)
    return facts


def commit_of(checkout: Path) -> str:
    """The commit of `checkout`, with `-dirty` if the code differs from it: figures kept beside it do not count."""
    git = ["git", "-C", str(checkout)]
    commit = _output([*git, "describe", "--always"]) or "unknown"
    changed = _output([*git, "status", "--porcelain", "--untracked-files=no", "--", ".", *FIGURES])
    return f"{commit}-dirty" if changed else commit


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()
