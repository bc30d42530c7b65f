"""A private Samba server on loopback: what rooms use today to read image files."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.filesystems import find_program, has_programs
from core.errors import OgcastError

__all__ = ["Samba", "samba_installed", "samba_server"]

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
SHARE = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Samba:
    """A running smbd."""

    pid: int
    port: int

    def get(self, name: str, *, target: str = "/dev/null") -> list[str]:
        """Command that reads the file `name` of the share into `target` (`-` is standard output)."""
        return [
            *("smbclient", f"//127.0.0.1/{SHARE}", "-p", str(self.port), "-N", "-m", "SMB3"),
            *("-c", f"get {name} {target}"),
        ]


def samba_installed() -> bool:
    """Whether both ends are there, and this user may run the server."""
    return has_programs("smbd", "smbclient") and os.geteuid() == 0


@contextlib.contextmanager
def samba_server(folder: Path, share: Path) -> Iterator[Samba]:
    """Serve the files in `share`, read-only, to guests on 127.0.0.1; all state lives in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    state = {name: folder / name for name in ("private", "lock", "state", "cache", "pid", "ncalrpc")}
    for path in state.values():
        path.mkdir(exist_ok=True)
    user = pwd.getpwuid(os.geteuid()).pw_name
    config = folder / "smb.conf"
    config.write_text(
        f"""[global]
server role = standalone server
map to guest = Bad User
guest account = {user}
interfaces = lo
bind interfaces only = yes
smb ports = {port}
disable netbios = yes
load printers = no
server min protocol = SMB3
use sendfile = yes
log file = {folder}/log
private dir = {state["private"]}
lock directory = {state["lock"]}
state directory = {state["state"]}
cache directory = {state["cache"]}
pid directory = {state["pid"]}
ncalrpc dir = {state["ncalrpc"]}
[{SHARE}]
path = {share}
guest ok = yes
read only = yes
"""
    )
    smbd = find_program("smbd") or "smbd"
    process = subprocess.Popen(
        [smbd, "--foreground", "--no-process-group", f"--configfile={config}", "--debuglevel=0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # smbd ends by signalling its whole process group
    )
    try:
        _wait_for(port, process)
        yield Samba(pid=process.pid, port=port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise OgcastError("the private smbd does not answer", hint="see its log in the work folder (--folder)")
