"""What a command settles before it imports anything large: half of a short command's time is its imports."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading

from core.numpy_types import put_off_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

__all__ = [
    "COLLECT_EVERY",
    "DETACHED",
    "EXIT_TERMINATED",
    "Terminated",
    "heed_sigterm",
    "leave",
    "settle",
    "step_back",
    "step_forward",
    "step_up",
]

DETACHED = "--detached"
"""The option by which a process knows that it was started in the background."""
NICENESS = 5
LAST = 19
FORWARD = -5
"""Of a daemon that paces: on a machine with other work its sender would wake too late, and the wire rest meanwhile."""
AUTOGROUP = "/proc/self/autogroup"
"""Weight of the session that a process leads, sched(7): where the kernel groups processes by session, one that leads
its own has as much of the machine as all of another session together, however low its own priority in that."""
UNSAID = 120
"""Exit code when the last words could not be written; Python's own."""

EXIT_TERMINATED = 143
"""128 + SIGTERM, what shells expect."""

COLLECT_EVERY = 100_000
"""Objects between two looks for garbage in cycles, more than a whole start makes (some 70 000): one look in the middle
of it takes 12 ms, the interpreter's 700 objects apart hundreds of looks and a tenth of the time. What a command leaves
in cycles later is little."""

_NUMPY_TEXTS = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
"""Modules that do nothing but give NumPy's functions their documentation, 200 KB of it, which no command reads: a
seventh of NumPy's import. NumPy has them apart so that they can be left out."""


class Terminated(SystemExit):
    """SIGTERM came, and nobody takes it yet: all that is half done is put away, as after Ctrl-C."""


def heed_sigterm() -> None:
    """Raise Terminated when SIGTERM comes, until an event loop takes that signal: the system's way of ending a process
    leaves what it was writing under another name where it is."""
    import signal

    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(EXIT_TERMINATED)


def settle() -> None:
    """Call first in `main`, before the imports of the command."""
    gc.set_threshold(COLLECT_EVERY)
    # NumPy's algebra is not used here, but its threads would start and spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in _NUMPY_TEXTS:  # taken for imported; of a NumPy that has others, these are never asked for
        sys.modules.setdefault(name, type(sys)(name))
    put_off_types()


def step_back() -> None:
    """Run only where nobody else wants to: for the start of a process that nobody waits for. Call before `settle`."""
    from core.timeslice import take_usual_turns

    take_usual_turns()  # whoever started it may have longer ones, and who runs like that cannot give them back
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _weigh_session(LAST)


def step_forward() -> None:
    """Go before others of this machine, where that is allowed; threads and processes started later do too. Who was
    given another priority than the usual one keeps it."""
    if os.getpriority(os.PRIO_PROCESS, 0) == 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, FORWARD)


def step_up() -> None:
    """The start is over: take part, but let others of this machine go first."""
    # Every thread: one that stayed behind would keep the interpreter's lock while it waits for a processor.
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, int(thread), NICENESS)
    _weigh_session(NICENESS)


def _weigh_session(niceness: int) -> None:
    """Of this process' own session; that of a terminal, which others share, is left as it is."""
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open(AUTOGROUP, "w", encoding="ascii") as file:
            file.write(f"{niceness}\n")


def leave(code: int) -> NoReturn:
    """Call last in `main`: say what is still to be said, and end with `code`.

    The interpreter would take apart all that was imported, for nobody: 25 ms of a processor, where a whole room of
    clients ends at the same moment on few of them. It does so where a thread has work left that must not be cut off.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if others:
        gc.freeze()  # at least not looked through for garbage, twice
        sys.exit(code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads, or the disk is full: as the interpreter would
        code = code or UNSAID
    os._exit(code)
