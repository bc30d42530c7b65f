"""aria2 on the rig: the image as repod publishes it for BitTorrent clients, which swarm among themselves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from bench.compare import first_difference
from bench.filesystems import has_programs
from bench.lab.classroom import NAME, Lesson
from bench.lab.memory import find_memory
from bench.lab.peers import PeerRun
from bench.lab.race import Race
from core.errors import OgcastError
from images.extents import Extents

__all__ = ["TORRENTS_PORT", "aria2_installed", "run_aria2", "with_torrents"]

TORRENTS_PORT = 8727
SEED_MINUTES = "60"
"""Who has the file gives it to others until the last has it; then all are stopped."""
HOOK = '#!/bin/sh\n: > "$(dirname "$3")/done"\n'
"""aria2 calls it when a download is complete, before it goes on seeding."""


def aria2_installed() -> bool:
    """Whether aria2c is there."""
    return has_programs("aria2c")


def with_torrents(settings: str) -> str:
    """The text of a repod.toml as `run_aria2` needs it. OgcastError if it has no setting of that name."""
    changed, count = re.subn(r"(?m)^(# *)?http_port = .*$", f"http_port = {TORRENTS_PORT}", settings)
    if count != 1:
        raise OgcastError("repod.toml does not have http_port once")
    return changed


def run_aria2(lesson: Lesson, hosts: Sequence[str], *, folder: Path, timeout_s: float) -> PeerRun:
    """aria2c in `hosts`, all started at once, with repod as tracker and web seed; files in `folder`, removed again.

    The torrent is of the raw file: aria2 stores what it gets, and what does not compress is as large either way.
    """
    rig, room = lesson.rig, lesson.room
    torrent = folder / "bench.torrent"
    url = f"http://{rig.topology.address('server')}:{TORRENTS_PORT}"
    export = ("export", room.site.repository, NAME, torrent, "--torrent", "--format", "raw", "--url", url)
    room.site.run(room.site.repod(*export))
    hook = folder / "aria2-done.sh"
    hook.write_text(HOOK)
    hook.chmod(0o700)
    homes = {host: folder / f"aria2-{host}" for host in hosts}
    for home in homes.values():
        home.mkdir()
    with find_memory(len(hosts)):
        race, clock = Race(), time.time()
        pids: list[int] = []
        told = False

        def look(_: float) -> None:
            nonlocal told
            if not told and all((home / "done").exists() for home in homes.values()):
                told = True
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)  # it would take seconds to say goodbye to its tracker

        try:
            for host, home in homes.items():
                process = rig.start(host, [*_words(hook), f"--dir={home}", str(torrent)])
                pids.append(process.pid)
                race.add(host, process)
            finished = race.wait(timeout_s=timeout_s, sample=look)
        finally:
            race.close()
    return _judge(room.source, homes, clock, cpu_s=sum(one.cpu_s for one in finished.values()))


def _words(hook: Path) -> list[str]:
    return [
        *("aria2c", "--quiet", "--no-conf", "--file-allocation=none", f"--seed-time={SEED_MINUTES}"),
        *("--seed-ratio=0", "--enable-dht=false", "--enable-dht6=false", "--disable-ipv6=true"),
        # Without these it looks for more peers only while it is slow for the Internet.
        *("--bt-request-peer-speed-limit=1000M", "--bt-max-peers=0", f"--on-bt-download-complete={hook}"),
    ]


def _judge(source: Path, homes: dict[str, Path], clock: float, *, cpu_s: float) -> PeerRun:
    """Look what every receiver has, and remove it."""
    each, wrong, complete = {}, [], True
    size = source.stat().st_size
    for host, home in homes.items():
        done = home / "done"
        files = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size == size]
        if done.exists() and files:
            each[host] = done.stat().st_mtime - clock
            if first_difference(source, files[0], Extents.all_data(size)) is not None:
                wrong.append(host)
        else:
            complete = False
        for path in sorted(home.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        home.rmdir()
    return PeerRun(
        seconds=max(each.values(), default=0.0),
        each_s=each,
        sender_cpu_s=0.0,
        receivers_cpu_s=cpu_s,
        complete=complete,
        wrong=tuple(wrong),
    )
