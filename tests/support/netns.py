"""A network namespace of one's own, with one interface on which multicast loops back; gone when the test is over."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["INTERFACE", "IPV4", "IPV6", "ip", "namespaces_usable", "run_apart"]

INTERFACE = "ogtest0"
IPV4 = "192.0.2.1"
IPV6 = "2001:db8::1"

_CLONE_NEWNET = 0x40000000
_Result = TypeVar("_Result")


def run_apart(work: Callable[[], _Result]) -> _Result:
    """Run `work` on a thread in a new namespace; sockets made there stay there. What it raises is raised here."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            _set_up()
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


def namespaces_usable() -> bool:
    """True if this process may make namespaces and interfaces."""
    try:
        run_apart(lambda: None)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def ip(*words: str) -> None:
    """The `ip` program, in the namespace of the calling thread."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _set_up() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    ip("link", "set", "lo", "up")
    ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "ogpeer0")
    ip("link", "set", "ogpeer0", "up")
    ip("addr", "add", f"{IPV4}/24", "brd", "+", "dev", INTERFACE)
    ip("addr", "add", f"{IPV6}/64", "dev", INTERFACE, "nodad")
    ip("link", "set", INTERFACE, "up")
