"""A whole site on one machine: a repository, its daemon on free loopback ports, and commands for its clients."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Cost, run_pipeline
from core.config import toml_value
from core.errors import OgcastError

__all__ = ["ROOT", "Daemon", "Site"]

ROOT = Path(__file__).parent.parent
READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0
_URL = re.compile(r"https://[^\s\"]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running `repod serve`."""

    url: str
    pid: int


class Site:
    """A repository in `folder`/repository. Commands run the code of this checkout with this Python.

    Every method raises OgcastError with what the command said if it fails.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.repository = self.folder / "repository"

    def repod(self, *arguments: str | Path) -> list[str]:
        """Command line of a `repod` command."""
        return [sys.executable, "-m", "repod", *map(str, arguments)]

    def ogcast(self, daemon: Daemon, *arguments: str | Path) -> list[str]:
        """Command line of an `ogcast` command against `daemon`."""
        config = self.repository / "client.toml"
        return [
            *(sys.executable, "-m", "client", "--config", str(config), "--repo", daemon.url, "--json"),
            *map(str, arguments),
        ]

    def init(self) -> None:
        """Make the repository."""
        self.run(self.repod("init", self.repository))
        with (self.repository / "client.toml").open("a") as settings:
            settings.write(f"state_dir = {toml_value(self.folder / 'state')}\n")  # nothing outside our folder
            settings.write("seed = false\n")  # nothing goes on beside the next measurement

    def import_image(self, source: Path, name: str, *, chunk_bytes: int | None = None) -> Cost:
        """Import `source` as the next version of `name`, in chunks of `chunk_bytes` instead of the repository's own."""
        size = ["--chunk-size", str(chunk_bytes)] if chunk_bytes else []
        return self.run(self.repod("import", self.repository, source, "--name", name, *size))

    def run(self, command: list[str]) -> Cost:
        """Run one command to its end."""
        return run_pipeline([command], cwd=ROOT)

    @contextlib.contextmanager
    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        options: Sequence[str] = (),
        place: Callable[[list[str]], list[str]] = list,
    ) -> Iterator[Daemon]:
        """`repod serve` on free ports of `host`; stopped gracefully when the block ends.

        `place` turns the command into one that runs it elsewhere, such as in a host of the lab.
        """
        command = place(self.repod("serve", self.repository, "--host", host, "--port", "0", *options))
        with tempfile.TemporaryFile("w+") as messages:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages, text=True
            )
            reader = _Reader(process)
            try:
                url = reader.wait_for_url()
                if url is None:
                    process.kill()
                    process.wait()
                    messages.seek(0)
                    raise OgcastError(f"repod serve did not become ready: {messages.read()[-2000:].strip()}")
                yield Daemon(url=url, pid=process.pid)
            finally:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                reader.close()


class _Reader:
    """Reads the daemon's standard output to its end, so that it never blocks on a full pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._url: str | None = None
        self._seen = threading.Event()
        self._thread = threading.Thread(target=self._read, name="repod-output")
        self._thread.start()

    def wait_for_url(self) -> str | None:
        """The address in the line that says clients are accepted; None if it never comes."""
        self._seen.wait(READY_TIMEOUT_S)
        return self._url

    def close(self) -> None:
        """After the process has ended."""
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            found = _URL.search(line)
            if found and self._url is None:
                self._url = found.group().rstrip(".,;)")
                self._seen.set()
        self._seen.set()
