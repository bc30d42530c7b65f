"""Seeding in the background: a process of its own, started by a command that is about to end."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.config import config_path
from client.run import Run
from client.seeders import find_seeder, is_outlasted, seeders_folder
from core.errors import LocalError, OgcastError
from core.startup import DETACHED
from images.manifest import Manifest

__all__ = ["Heritage", "go_on_giving", "start_seeder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heritage:
    """What the new process gives: the CACHE, or memory and perhaps a target."""

    cache: Path | None = None
    inherited: bytes = b""
    descriptors: Sequence[int] = ()
    target: str | None = None


def go_on_giving(run: Run, manifest: Manifest, options: str | None, heritage: Heritage) -> None:
    """Start a seeder at the end of a command and return at once; `options` None: nothing is to be given.

    Whatever goes wrong is told as a warning: the command has done what it was asked.
    """
    if options is None:
        return
    try:
        start_seeder(run, manifest, options, heritage)
    except (OgcastError, OSError) as error:
        run.warning(f"{manifest.ref} is not given to others from now on: {error}")


def start_seeder(run: Run, manifest: Manifest, options: str, heritage: Heritage) -> tuple[int, bool]:
    """Start the process and tell the event `seeding`; returns its number, or that of the one which runs already, and
    whether that is so. One in the background that would end before is ended by the new one, when that can begin.

    `options` is an option string of the transport, empty for what the repository says. A process that gives the CACHE
    waits until the image is there. LocalError if it cannot be started.
    """
    folder = seeders_folder(run.settings.state_path)
    log = folder / f"{manifest.ref}.log"
    running = find_seeder(folder, manifest.ref, manifest.root)
    already = running is not None and not is_outlasted(running, options, now=datetime.datetime.now(datetime.UTC))
    if running is not None and already:
        pid, message = running.pid, f"process {running.pid} gives {manifest.ref} to others already"
    else:
        pid = _start(run, manifest, options, heritage, folder, log)
        how = options or "as the repository says"
        place = "" if running is None else f" in the place of process {running.pid}"
        message = (
            f"process {pid} gives {manifest.ref} to others from now on{place} ({how}); `ogcast seed --stop` ends it"
        )
    run.event(
        "seeding",
        {
            "image": str(manifest.ref),
            "pid": pid,
            "options": options,
            "already": already,
            "log": str(log),
            "message": message,
        },
    )
    return pid, already


def _start(run: Run, manifest: Manifest, options: str, heritage: Heritage, folder: Path, log: Path) -> int:
    words = [sys.executable, "-P", "-m", "client"]
    words += ["--config", str(config_path(run.options.config).absolute()), "--repo", run.settings.base_url]
    words += ["--interface", run.settings.interface] if run.settings.interface else []
    words += ["--json", "seed", str(manifest.ref), "--options", options]
    words += ["--cache", str(heritage.cache.absolute())] if heritage.cache is not None else []
    words += ["--target", os.path.abspath(heritage.target)] if heritage.target is not None else []
    words += [DETACHED, str(log)]
    kept = list(heritage.descriptors)
    handed = -1
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if heritage.cache is None:
            handed = _memory(heritage.inherited)
            kept.append(handed)
            words += ["--inherit", str(handed)]
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND  # whole lines, whoever else writes still
        return os.posix_spawn(
            words[0],
            words,
            _environment(run),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), written, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise LocalError(f"no background process can be started: {error.strerror or error}") from error
    finally:
        for descriptor in kept:
            os.set_inheritable(descriptor, False)
        if handed >= 0:
            os.close(handed)


def _memory(data: bytes) -> int:
    """A descriptor that reads `data` from its beginning."""
    descriptor = os.memfd_create("ogcast-heritage")
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _environment(run: Run) -> dict[str, str]:
    """Of this installation or checkout, whatever directory the process runs in."""
    root = str(Path(__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OGCAST_STATE_DIR": str(run.settings.state_path.absolute()),
    }
