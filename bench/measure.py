"""What a command costs: wall clock, CPU seconds of everything it started, and, asked for alone, peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.errors import OgcastError

__all__ = ["Cost", "peak_of", "peak_rss_bytes", "process_tree", "run_pipeline", "tree_cpu_s"]

STDERR_TAIL_BYTES = 2000
_PEAK = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took."""

    seconds: float
    """Wall clock from the first start to the last end."""
    cpu_s: float
    """User and system time of all processes of the run."""


def run_pipeline(
    commands: Sequence[Sequence[str | Path]],
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
    cwd: Path | None = None,
) -> Cost:
    """Run `commands` connected by pipes and say what they cost.

    Raises OgcastError with the tail of what was written to standard error if any of them fails.
    """
    with contextlib.ExitStack() as stack:
        messages = stack.enter_context(tempfile.TemporaryFile())
        source: BinaryIO | None = stack.enter_context((stdin or Path(os.devnull)).open("rb"))
        sink = stack.enter_context((stdout or Path(os.devnull)).open("r+b" if stdout and stdout.exists() else "wb"))
        running: list[subprocess.Popen[bytes]] = []
        began = time.perf_counter()
        for position, command in enumerate(commands):
            last = position == len(commands) - 1
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=source,
                stdout=sink if last else subprocess.PIPE,
                stderr=messages,
                cwd=cwd,
            )
            if running and source is not None:
                source.close()  # ours; else the reader never sees the end
            source = process.stdout  # type: ignore[assignment] # IO[bytes] of a pipe
            running.append(process)
        cpu_s, failed = 0.0, []
        for process, command in zip(running, commands, strict=True):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_s += usage.ru_utime + usage.ru_stime
            if process.returncode != 0:
                failed.append(f"{command[0]} ended with {process.returncode}")
        seconds = time.perf_counter() - began
        if failed:
            messages.seek(max(0, messages.seek(0, os.SEEK_END) - STDERR_TAIL_BYTES))
            raise OgcastError(f"{', '.join(failed)}: {messages.read().decode(errors='replace').strip()}")
    return Cost(seconds=seconds, cpu_s=cpu_s)


def peak_of(command: Sequence[str], *, cwd: Path | None = None) -> int:
    """Run `command` and return the largest resident set of it and what it starts, in bytes.

    A child begins with the high-water mark of the process that starts it, so a small one stands between.
    """
    with tempfile.NamedTemporaryFile("r") as answer:
        run_pipeline([[sys.executable, "-I", "-S", "-c", _PEAK, answer.name, *command]], cwd=cwd)
        return int(answer.read()) * 1024


def process_tree(pid: int) -> set[int]:
    """`pid` and every running descendant."""
    found, queue = set(), [pid]
    while queue:
        one = queue.pop()
        found.add(one)
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                queue += [int(child) for child in (thread / "children").read_text().split()]
    return found


def tree_cpu_s(pid: int) -> float:
    """CPU seconds so far of `pid`, its running descendants and those it has collected."""
    ticks = 0
    for one in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
    return ticks / _TICKS_PER_S


def peak_rss_bytes(pid: int) -> int:
    """Largest resident set the process `pid` has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
