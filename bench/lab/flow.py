"""What arrives at hosts over time, sampled from the kernel while a race runs: gaps, first data, bytes of a span."""

from __future__ import annotations

from bench.lab.rig import Rig

__all__ = ["FlowMeter"]

PACKET_BYTES = 1000
"""Growth below this between two samples is no data: neighbour discovery, membership, a TCP acknowledgement."""


class FlowMeter:
    """Samples of bytes received; `sample` is given to a race, hosts are added as their clients start."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._pids: dict[str, int] = {}
        self._samples: dict[str, list[tuple[float, int]]] = {}
        self._joined: dict[str, float] = {}

    def add(self, host: str, pid: int) -> None:
        """Watch a host through a process that runs in it, until that process ends."""
        self._pids[host] = pid
        self._samples[host] = []

    def sample(self, now_s: float) -> None:
        """Take one sample of each host."""
        for host, pid in self._pids.items():
            received = self._rig.received_bytes(pid)
            if received:
                self._samples[host].append((now_s, received))
            if host not in self._joined and self._rig.is_member(pid):
                self._joined[host] = now_s

    def longest_gap_s(self, host: str, *, after_s: float, until_s: float) -> float:
        """The longest time in a span in which samples saw no data; as fine as the samples are."""
        seen = [one for one in self._samples[host] if after_s <= one[0] <= until_s]
        longest = 0.0
        if seen:
            since, level = seen[0]
            for now, received in seen[1:]:
                if received - level >= PACKET_BYTES:
                    since = now
                else:
                    longest = max(longest, now - since)
                level = received  # questions of a sender that waits, one by one, never add up to data
        return longest

    def first_s(self, host: str, received_bytes: int) -> float | None:
        """When a host had received so much since its first sample; None if it never had."""
        seen = self._samples[host]
        return next((now for now, received in seen if received - seen[0][1] >= received_bytes), None)

    def received_as_member(self, host: str) -> int:
        """Bytes that arrived since the host became a member of a group; 0 if it never did."""
        return self.received_since(host, self._joined[host]) if host in self._joined else 0

    def received_since(self, host: str, after_s: float) -> int:
        """Bytes that arrived from a time on until its process ended."""
        seen = [received for now, received in self._samples[host] if now >= after_s]
        return seen[-1] - seen[0] if seen else 0
