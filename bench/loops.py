"""Loop devices made for one measurement or test, and given back whatever happens."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.errors import PartitionError

__all__ = ["backing_files", "loop_device", "loops_usable"]

COMMAND_TIMEOUT_S = 30


def loops_usable() -> bool:
    """Whether this process may make loop devices: root, and a kernel that has them."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


@contextlib.contextmanager
def loop_device(backing: Path, *, sector_bytes: int = 512, read_only: bool = False) -> Iterator[Path]:
    """A loop device over the file `backing`; detached when the block ends.

    Raises PartitionError when the machine has no loop device to give.
    """
    command = ["losetup", "--find", "--show", "--sector-size", str(sector_bytes)]
    if read_only:
        command.append("--read-only")
    made = subprocess.run([*command, str(backing)], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    if made.returncode != 0:
        raise PartitionError(f"no loop device for {backing}: {made.stderr.strip()}", hint="run as root")
    device = Path(made.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=False, timeout=COMMAND_TIMEOUT_S)


def backing_files() -> dict[str, str]:
    """Every loop device in use and the file behind it.

    One that was detached is not counted, though it stays while a mount namespace of another program, which began
    when it was mounted, has it still.
    """
    found = {}
    for entry in Path("/sys/block").glob("loop*"):
        with contextlib.suppress(OSError):
            if (entry / "loop" / "autoclear").read_text().strip() == "1":
                continue
            found[f"/dev/{entry.name}"] = (entry / "loop" / "backing_file").read_text().strip()
    return found
