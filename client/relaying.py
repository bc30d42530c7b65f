"""A relay: the images a subnet needs, fetched once into a store of its own, and served there.

The store is a repository like any other, so serving it is `repod serve`, run as a child: casts, lanes, sessions and
metrics are the same as at the main repository. Images stay signed by the main repository.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import math
import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.control import ControlClient
from client.deployment import cache_method, update_cache
from client.run import Run
from core.config import parse_toml
from core.errors import LocalError, LockedError, NotFoundError, OgcastError, RemoteError, RepositoryError, UsageError
from core.files import write_atomically
from core.ids import ImageRef
from core.service import notify
from images.repository import Repository
from images.signing import SigningKey

__all__ = ["Relay"]

READY = "repod: serving "
STOPPED = "interrupted; the store keeps what it has: run the same command again to go on"
READY_S = 30.0
STOP_S = 15.0
PREDECESSOR_S = 10.0
"""How long a port or a store that was in use is asked for again: twice what repod gives its sessions when it stops.
It begins with the first answer, whatever a start of repod takes on a busy machine."""
AGAIN_S = 0.5
LAST_WORDS_S = 5.0
"""How long a repod that closed its output may take to end by itself, before it is ended."""
_OTHER = "another port: --port"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """What `ogcast relay` was asked to do."""

    run: Run
    names: Sequence[str]
    """Images to keep: name (always its newest version) or name@version."""
    store: Path
    method: str
    port: int
    interface: str | None
    refresh_s: float
    """How often the main repository is asked for newer versions; 0: never."""

    async def perform(self) -> Mapping[str, Any]:
        """Fetch, serve, keep up to date; ends by cancellation, or with an error if the child ends."""
        refs = [ImageRef.parse(name) for name in self.names]
        if not refs:
            raise UsageError("no image to relay", hint="name at least one: ogcast relay NAME --store DIR")
        # a store that is restarted with what cannot be meant would serve what it has, and never fetch
        cache_method(self.method)
        if not 0 <= self.refresh_s < math.inf:
            raise UsageError(f"--refresh {self.refresh_s} is no number of seconds", hint="0: never look again")
        async with ControlClient(self.run.settings) as control:
            if self._is_made:
                await asyncio.to_thread(self._check_no_other)
            else:
                for ref in refs:  # what is misspelt, or refused, is to leave no empty store behind
                    await control.image(ref)
            await self._await_port()
            await self._prepare()
            self.run.resume_hint = STOPPED
            for ref in refs:
                notify(f"STATUS=fetching {ref}")
                await self._begin(control, ref)
            child = await self._serve()
            try:
                notify("READY=1")
                while True:
                    self.run.resume_hint = STOPPED  # fetching a newer version says something else
                    ended = await self._wait(child)
                    if ended is not None:
                        raise LocalError(f"repod of the relay ended with status {ended}", hint=f"its log: {self._log}")
                    for ref in refs:
                        await self._refresh(control, ref)
            finally:
                notify("STOPPING=1")
                await _end(child)

    async def _await_port(self) -> None:
        """LockedError if the port is in use, before anything is fetched to be served there. That of a relay that was
        killed may be about to be left: it is waited for."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + PREDECESSOR_S
        host, told = await asyncio.to_thread(self._host), False
        while _is_taken(host, self.port):
            what = f"port {self.port} of {host} is in use"
            if clock() >= deadline:
                raise LockedError(f"the relay cannot serve: {what}", hint=f"nothing was fetched; {_OTHER}")
            if not told:
                self.run.notice(f"{what}: waiting for it, {PREDECESSOR_S:.0f} s at most")
                told = True
            await asyncio.sleep(AGAIN_S)

    def _host(self) -> str:
        """What repod will listen on, as its settings say; what is wrong with those it tells itself. UsageError if there
        is no such interface."""
        said: dict[str, Any] = {}
        with contextlib.suppress(LocalError):
            said = parse_toml(self.store / "repod.toml")
        if host := os.environ.get("REPOD_HOST") or said.get("host"):
            return str(host)
        return self._address() if self.interface else "0.0.0.0"

    async def _prepare(self) -> None:
        """Make the store a repository with settings for clients that trust the main repository's signatures."""
        if not self._is_made:
            host = ["--host", self._address()] if self.interface else []
            code, said = await self._repod("init", str(self.store), "--port", str(self.port), *host)
            if code:
                message, _, hint = said.removeprefix("error: ").partition("\nhint: ")
                raise _as_repod(code)(f"the relay's store {self.store} cannot be made: {message}", hint=hint or None)
        path = self.store / "client.toml"
        key = base64.b64encode(self.run.settings.public_key).decode()
        text = re.sub(r'(?m)^signing_key = ".*"$', f'signing_key = "{key}"', path.read_text())
        if text != path.read_text():
            write_atomically(path, text, mode=0o600)

    @property
    def _is_made(self) -> bool:
        return os.path.exists(self.store / "repod.toml")  # False for a name too long, which making it tells

    def _check_no_other(self) -> None:
        """UsageError where images are signed by the store's own key: it is somebody's repository, of which older
        versions would be removed, and whose clients would be told to trust another one."""
        with contextlib.suppress(FileNotFoundError, NotFoundError):  # without a key it signs nothing
            own = SigningKey.from_pem((self.store / "signing.key").read_bytes()).public
            if parse_toml(self.store / "client.toml").get("signing_key") != base64.b64encode(own).decode():
                return
            with Repository.open(self.store, read_only=True) as store:
                kept = len(store.images())
            if kept:
                raise UsageError(
                    f"{self.store} is a repository with {kept} images of its own, not the store of a relay",
                    hint="name a new or empty folder; nothing was changed",
                )

    def _address(self) -> str:
        from core.netif import interface_address

        assert self.interface is not None
        return interface_address(self.interface)

    async def _begin(self, control: ControlClient, ref: ImageRef) -> None:
        """A relay that was restarted serves what it had, where the main repository is away, refuses it or has no such
        image any more: one that ran on would have done so, too."""
        try:
            await self._fetch(control, ref)
        except (RemoteError, LocalError) as error:
            if not await asyncio.to_thread(self._holds, ref):
                raise
            self.run.warning(f"{ref} is served as it is here: {error}")

    async def _fetch(self, control: ControlClient, ref: ImageRef) -> None:
        info = await control.image(ref)
        await update_cache(self.run, control, info, method=self.method, options="", cache=self.store, served=True)
        if ref.version is None:
            await asyncio.to_thread(self._forget_older, info.name, info.version)

    async def _refresh(self, control: ControlClient, ref: ImageRef) -> None:
        """A main repository that does not answer changes nothing: what is here is served on."""
        try:
            info = await control.image(ref)
            if not await asyncio.to_thread(self._has, ImageRef(info.name, info.version)):
                await self._fetch(control, ref)
        except (RemoteError, LocalError) as error:
            self.run.warning(f"{ref} was not brought up to date: {error}")

    def _has(self, ref: ImageRef) -> bool:
        with Repository.open(self.store, read_only=True) as store:
            return any(entry.ref == ref for entry in store.images())

    def _holds(self, ref: ImageRef) -> bool:
        """Some version of it, or the version that is asked for."""
        with Repository.open(self.store, read_only=True) as store:
            return any(entry.name == ref.name and ref.version in (None, entry.version) for entry in store.images())

    def _forget_older(self, name: str, newest: int) -> None:
        """Keep the store bounded by the images it was asked to keep."""
        with Repository.open(self.store) as store:
            old = [entry.ref for entry in store.images() if entry.name == name and entry.version < newest]
            for ref in old:
                store.remove(ref)
            if old:
                with contextlib.suppress(OgcastError):  # somebody reads what goes: the next round frees it
                    store.gc(public_key=self.run.settings.public_key)

    async def _serve(self) -> asyncio.subprocess.Process:
        """Run repod. That of a relay that was killed may be about to leave: it is waited for."""
        clock = asyncio.get_running_loop().time
        deadline = math.inf
        begin = self._log.stat().st_size if self._log.exists() else 0
        while not (started := await self._start())[1].startswith(READY):
            code = started[0].returncode
            deadline = min(deadline, clock() + PREDECESSOR_S)
            if code != LockedError.exit_code or clock() >= deadline:
                said = _last_error(self._log, since=begin)
                other = f"; {_OTHER}" if code == LockedError.exit_code else ""
                raise _as_repod(code)(f"repod of the relay did not start{said}", hint=f"its log: {self._log}{other}")
            await asyncio.sleep(AGAIN_S)
        child, line = started
        self.run.event("relay", {"message": line, "client_settings": str(self.store / "client.toml")})
        notify(f"STATUS={line}")
        return child

    @property
    def _log(self) -> Path:
        return self.store / "relay.log"

    async def _start(self) -> tuple[asyncio.subprocess.Process, str]:
        """A repod and what it says first; it has ended if that is anything else than that it serves."""
        interface = ["--interface", self.interface] if self.interface else []
        with self._log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *_ending_with_us(),
                *_repod_words("serve", str(self.store), "--port", str(self.port), *interface),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours to pass on
            )
        try:
            line = await _first_line(child)
        except BaseException:
            await _end(child)
            raise
        if not line.startswith(READY):
            with contextlib.suppress(TimeoutError):  # its code says why, and whether to try again
                async with asyncio.timeout(LAST_WORDS_S):
                    await child.wait()
            await _end(child)
        return child, line

    async def _wait(self, child: asyncio.subprocess.Process) -> int | None:
        """Exit status of the child, or None when it is time to look for newer versions."""
        try:
            async with asyncio.timeout(self.refresh_s or None):
                return await child.wait()
        except TimeoutError:
            return None

    async def _repod(self, *words: str) -> tuple[int, str]:
        child = await asyncio.create_subprocess_exec(
            *_repod_words(*words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        _, said = await child.communicate()
        return child.returncode or 0, said.decode(errors="replace").strip()


def _is_taken(host: str, port: int) -> bool:
    """Whether somebody listens where repod would; False where that cannot be told."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((str(address[0]), port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _as_repod(code: int | None) -> type[LocalError]:
    """The error to end with where repod did with `code`: wrong usage and a port in use are the same for both."""
    kinds: dict[int | None, type[LocalError]] = {
        kind.exit_code: kind for kind in (UsageError, LockedError, RepositoryError)
    }
    return kinds.get(code, LocalError)


def _repod_words(*words: str) -> list[str]:
    """`repod` of this installation; of this checkout where there is none beside this Python."""
    beside = shutil.which("repod", path=str(Path(sys.executable).parent))
    return [beside, *words] if beside else [sys.executable, "-m", "repod", *words]


def _ending_with_us() -> list[str]:
    """Words before a command that make the kernel end it when this process is killed: its port would stay taken."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _environment() -> dict[str, str]:
    """For the child; what its service manager is told is told by us."""
    root = str(Path(__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths)}


async def _first_line(child: asyncio.subprocess.Process) -> str:
    """What it says first; empty if that takes longer than READY_S."""
    assert child.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            return (await child.stdout.readline()).decode(errors="replace").strip()
    except TimeoutError:
        return ""


def _last_error(log: Path, *, since: int) -> str:
    """With a colon before it, what stands last as an error in the part of a log from byte `since`; or nothing."""
    with log.open("rb") as file:
        file.seek(since)
        errors = [line for line in file if line.startswith(b"error: ")]
    return f": {errors[-1].decode(errors='replace')[len('error: ') :].strip()}" if errors else ""


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
