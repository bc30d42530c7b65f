"""The tools in use today, on the same rig in the same run: udpcast and uftp."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.compare import first_difference, stain
from bench.filesystems import has_programs
from bench.lab.memory import find_memory
from bench.lab.race import Finish, Race
from bench.lab.rig import Rig
from bench.lab.topology import INTERFACE
from images.extents import Extents

__all__ = ["PeerRun", "run_udpcast", "run_uftp", "udpcast_installed", "uftp_installed"]

GREETING_MS = "500"
"""udp-sender greets once unless told otherwise; with loss it then waits forever for who did not hear it."""
UFTP_SHARE = 0.97
"""Rate that uftp is told, as part of the link's: it counts payload, and with more it only loses packets."""
UFTP_BLOCK_BYTES = 1440
READY_S = 0.5
"""Time that uftp's receivers get before the clock starts: they are daemons."""
STOP_S = 5.0
UFTP_GROUP = "230.77.1.1"
UFTP_DATA_GROUP = "230.77.1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRun:
    """One transfer by another tool."""

    seconds: float
    """From starting the receivers until the last of them has everything."""
    each_s: Mapping[str, float]
    """The same for each receiver."""
    sender_cpu_s: float
    receivers_cpu_s: float
    """Of all receivers together."""
    complete: bool
    """Whether every program ended well and every receiver has a file of the right size."""
    wrong: tuple[str, ...]
    """Receivers whose file has the right size and not the content that was sent."""


def udpcast_installed() -> bool:
    """Whether both ends of udpcast are there."""
    return has_programs("udp-sender", "udp-receiver")


def uftp_installed() -> bool:
    """Whether both ends of uftp are there."""
    return has_programs("uftp", "uftpd")


def run_udpcast(
    rig: Rig,
    source: Path,
    hosts: Sequence[str],
    *,
    folder: Path | None,
    timeout_s: float,
    max_rate_bits_per_s: float = 0,
    options: Sequence[str] = (),
    late: Mapping[str, float] | None = None,
    plans: Sequence[tuple[float, Callable[[Mapping[str, int]], None]]] = (),
    sample: Callable[[float], None] | None = None,
    on_start: Callable[[str, int], None] | None = None,
) -> PeerRun:
    """udp-sender at the host `server` to udp-receivers that start together; files in `folder`, or nothing is kept.

    The names of `hosts` must not be `sender`. Without a rate it sends as fast as its own windows and the link allow,
    which is its default and its fastest here. Hosts in `late` start at their time and are not waited for by the
    sender; `plans` happen at theirs and are given process ids by host.
    """
    late = late or {}
    targets = _targets(folder, "udpcast", hosts)
    if folder is not None:
        for target in targets.values():
            stain(target, source.stat().st_size)
    with find_memory(len(hosts)):
        race = Race()
        pids: dict[str, int] = {}

        def receive(host: str) -> None:
            words = ("udp-receiver", "--nokbd", "--no-progress", "--interface", INTERFACE, "--file", targets[host])
            process = rig.start(host, words)
            race.add(host, process)
            pids[host] = process.pid
            if on_start is not None:
                on_start(host, process.pid)

        try:
            for host in hosts:
                if host in late:
                    race.at(late[host], partial(receive, host))
                else:
                    receive(host)
            for at_s, action in plans:
                race.at(at_s, partial(action, pids))
            rate = ("--max-bitrate", str(int(max_rate_bits_per_s))) if max_rate_bits_per_s else ()
            words = ("udp-sender", "--nokbd", "--no-progress", "--interface", INTERFACE, "--file", source)
            count = ("--min-receivers", str(len(hosts) - len(late)), "--rexmit-hello-interval", GREETING_MS)
            race.add("sender", rig.start("server", (*words, *count, *rate, *options)))
            finished = race.wait(timeout_s=timeout_s, sample=sample)
        finally:
            race.close()
    return _outcome(finished, source, targets, {host: one.ended_s for host, one in finished.items() if host in pids})


def run_uftp(
    rig: Rig, source: Path, hosts: Sequence[str], *, folder: Path, rate_bits_per_s: float, timeout_s: float
) -> PeerRun:
    """uftp at the host `server` to uftpd daemons that are up already; a receiver ends when its file is final."""
    homes = {host: folder / f"uftp-{host}" for host in hosts}
    targets = {host: home / source.name for host, home in homes.items()}
    receivers = {}
    daemons, race = Race(), None
    try:
        for host, home in homes.items():
            home.mkdir(exist_ok=True)
            receivers[host] = rig.start(host, ("uftpd", "-d", "-I", INTERFACE, "-M", UFTP_GROUP, "-D", home))
            daemons.add(host, receivers[host])
        time.sleep(READY_S)
        with find_memory(len(hosts)):
            race, clock = Race(), time.time()
            rate = str(int(rate_bits_per_s * UFTP_SHARE / 1000))
            words = ("uftp", "-I", INTERFACE, "-M", UFTP_GROUP, "-P", UFTP_DATA_GROUP)
            race.add("sender", rig.start("server", (*words, "-b", str(UFTP_BLOCK_BYTES), "-R", rate, source)))
            finished = dict(race.wait(timeout_s=timeout_s))
            for process in receivers.values():
                # Popen.terminate would collect one that has ended, and its CPU time
                os.kill(process.pid, signal.SIGTERM)
            ended = daemons.wait(timeout_s=daemons.now_s + STOP_S)
    finally:
        daemons.close()
        if race is not None:
            race.close()
    each = {host: target.stat().st_ctime - clock for host, target in targets.items() if target.exists()}
    # A daemon that is told to stop ends with a code of its own choice.
    finished |= {host: replace(one, code=0) for host, one in ended.items()}
    return _outcome(finished, source, targets, each)


def _targets(folder: Path | None, tool: str, hosts: Sequence[str]) -> dict[str, Path]:
    return {host: Path(os.devnull) if folder is None else folder / f"{tool}-{host}.img" for host in hosts}


def _outcome(
    finished: Mapping[str, Finish], source: Path, targets: Mapping[str, Path], each_s: Mapping[str, float]
) -> PeerRun:
    """Judge what arrived and remove it."""
    complete = not any(one.code for one in finished.values()) and len(each_s) == len(targets)
    wrong = []
    for host, target in targets.items():
        if target != Path(os.devnull):
            whole = target.exists() and target.stat().st_size == source.stat().st_size
            complete = complete and whole
            if whole and first_difference(source, target, Extents.all_data(source.stat().st_size)) is not None:
                wrong.append(host)
            target.unlink(missing_ok=True)
    return PeerRun(
        seconds=max(each_s.values(), default=0.0),
        each_s=each_s,
        sender_cpu_s=finished["sender"].cpu_s,
        receivers_cpu_s=sum(one.cpu_s for name, one in finished.items() if name != "sender"),
        complete=complete,
        wrong=tuple(wrong),
    )
