"""A lab that exists: built on entry, changed while it runs, and gone on exit whatever happened."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from bench.lab import plan, shell
from bench.lab.counters import PathCounters, parse_interface, parse_nft_counters, parse_qdisc, path_counters
from bench.lab.plan import Step
from bench.lab.topology import INTERFACE, SWITCH, Link, Topology
from core.errors import LocalError

__all__ = ["Rig"]

_NUMBERS = itertools.count(1)


class Rig:
    """Hosts as network namespaces. Not for several threads.

    `with Rig(topology) as rig:` builds it and removes it; `build` and `remove` do it apart (the command line does).
    A lab without a name gets one with this process's id, so that a later run finds what a killed one left.
    """

    def __init__(self, topology: Topology, *, name: str = "") -> None:
        self.topology = topology
        self.name = shell.check_name(name) if name else shell.run_name(next(_NUMBERS))
        self._links = {host.name: host.link for host in topology.hosts}
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Rig:
        for lab in shell.leftovers():
            shell.remove(lab)
        try:
            self.build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def build(self) -> None:
        """Make the hosts. Raises LocalError where that is not possible, OgcastError if a command fails."""
        if why := shell.missing():
            raise LocalError(why, hint="run as root on a Linux machine with these programs")
        smcroute = ""
        if self.topology.multicast_routing:
            settings = shell.folder_of(self.name) / "smcroute.conf"
            settings.parent.mkdir(mode=0o700)
            settings.write_text(plan.smcroute_settings(self.topology))
            smcroute = str(settings)
        shell.perform(plan.up(self.topology, lab=self.name, smcroute=smcroute))

    def remove(self) -> None:
        """End every process in the lab and delete it; harmless when repeated."""
        # One that was started just now may not be in its namespace yet, where `shell.remove` looks for it.
        for process in self._started:
            process.kill()
        self._started.clear()
        shell.remove(self.name)

    # -------------------------------------------------------------------------------------------- processes

    def command(self, host: str, words: Sequence[str | Path]) -> list[str]:
        """The command line that runs `words` in a host."""
        self.topology.host(host)
        return ["ip", "netns", "exec", plan.namespace(self.name, host), *map(str, words)]

    def start(
        self,
        host: str,
        words: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a host; its process id is the program's own. The caller waits for it."""
        self._started = [process for process in self._started if process.returncode is None]
        process = subprocess.Popen(
            self.command(host, words), cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        self._started.append(process)
        return process

    # -------------------------------------------------------------------------------------------- changes

    def link(self, host: str) -> Link:
        """The link of a host as it is now."""
        return self._links[self.topology.host(host).name]

    def set_link(self, host: str, link: Link) -> None:
        """Change rate and loss of a host's path while packets flow."""
        one = self.topology.host(host)
        shell.perform([*plan.change_rate(self.topology, self.name, one, link), *plan.change_loss(self.name, one, link)])
        self._links[host] = link

    def block_multicast(self, host: str, *, blocked: bool = True) -> None:
        """Drop all groups at a host's port, or let them pass again."""
        one = self.topology.host(host)
        shell.perform(plan.block_multicast(self.name, one, self.link(host), blocked=blocked))

    def alter_packets(self, host: str, *, every: int) -> None:
        """Change one in so many long packets of groups on their way to a host, until the lab is taken down."""
        shell.perform(plan.alter_packets(self.name, self.topology.host(host), every=every))

    def set_cable(self, host: str, *, up: bool) -> None:
        """Pull a host's cable, or put it back."""
        shell.perform(plan.link_state(self.name, self.topology.host(host), up=up))

    def cut_cable(self, host: str) -> None:
        """Take a host's interface away altogether: unlike one that is down, it loses its number and addresses."""
        shell.perform(plan.cut_cable(self.name, self.topology.host(host)))

    def new_cable(self, host: str) -> None:
        """Give a host whose interface was taken away another one of the same name and addresses, as wide and lossy."""
        shell.perform(plan.new_cable(self.topology, self.name, self.topology.host(host), self.link(host)))

    def set_subnet(self, subnet: int, *, up: bool) -> None:
        """Cut a subnet off from the router, or join it again; its hosts still see each other."""
        shell.perform(plan.subnet_state(self.name, subnet, up=up))

    # -------------------------------------------------------------------------------------------- figures

    def counters(self) -> dict[str, PathCounters]:
        """What crossed each host's cable so far."""
        listing = ("ip", "netns", "exec", plan.namespace(self.name, SWITCH), "nft", "-j", "list", "counters")
        named = parse_nft_counters(shell.output_of(Step(words=listing)))
        return {
            host.name: path_counters(host.name, named, self._port(host.name), self._queue(host.name, INTERFACE))
            for host in self.topology.hosts
        }

    def received_bytes(self, pid: int) -> int:
        """Bytes that arrived at the interface of the host that the process `pid` runs in; cheap enough to sample."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines():
                name, _, figures = line.partition(":")
                if name.strip() == INTERFACE:
                    return int(figures.split()[0])
        return 0

    def is_member(self, pid: int) -> bool:
        """Whether the host that `pid` runs in is a member of an IPv4 group beside those that every host is in."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/igmp").read_text().splitlines():
                if line.startswith("\t") and not line.split()[0].endswith("0000E0"):  # 224.0.0.x, as the kernel writes
                    return True
        return False

    def _port(self, host: str) -> tuple[int, int, int]:
        """What the switch sent to a host. Without a shaper nothing but the interface counts it."""
        if self.topology.with_link(host, self.link(host)).is_shaped(host):
            return self._queue(SWITCH, host)
        words = ("ip", "-n", plan.namespace(self.name, SWITCH), "-s", "-j", "link", "show", "dev", host)
        return parse_interface(shell.output_of(Step(words=words)))

    def _queue(self, host: str, device: str) -> tuple[int, int, int]:
        words = ("tc", "-n", plan.namespace(self.name, host), "-s", "-j", "qdisc", "show", "dev", device)
        return parse_qdisc(shell.output_of(Step(words=words)))
