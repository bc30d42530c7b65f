"""A sender goes first as long as it needs little, whatever it gets."""

from __future__ import annotations

from transports.multicast.proto.precedence import LEAST_BYTES, LOOK_S, SHARE_BACK, SHARE_MAX, Precedence

RATE = 25e6


class Sender:
    """Sends for one look after the other; at the rate RATE its cost would be a `share` of a processor."""

    def __init__(self) -> None:
        self.machine = Precedence(0.0)
        self._now = self._cpu_s = 0.0
        self._bytes = 0

    def looks(self, share: float, *, gets: float = 1.0, times: int = 1) -> list[bool]:
        """Whether it goes first after each; it sends at `gets` of RATE."""
        found = []
        for _ in range(times):
            assert not self.machine.due(self._now + LOOK_S / 2)
            self._now += LOOK_S
            assert self.machine.due(self._now)
            self._cpu_s += gets * share * LOOK_S
            self._bytes += int(gets * RATE * LOOK_S)
            before = self.machine.first
            changed = self.machine.handle_cost(
                cpu_s=self._cpu_s, wire_bytes=self._bytes, rate_bytes_per_s=RATE, now=self._now
            )
            assert changed == (self.machine.first != before)
            found.append(self.machine.first)
        return found


def test_who_needs_little_goes_first_from_the_start() -> None:
    sender = Sender()
    assert sender.machine.first
    assert sender.looks(0.9 * SHARE_MAX, times=5) == [True] * 5


def test_who_needs_much_takes_its_turn_until_it_needs_clearly_less() -> None:
    sender = Sender()
    assert sender.looks(1.1 * SHARE_MAX) == [False]
    assert sender.looks((SHARE_MAX + SHARE_BACK) / 2, times=3) == [False] * 3
    assert sender.looks(0.9 * SHARE_BACK) == [True]


def test_who_needs_much_and_is_kept_from_running_does_not_look_modest() -> None:
    sender = Sender()
    assert sender.looks(1.0, gets=0.2, times=5) == [False] * 5


def test_a_few_packets_say_nothing_until_they_are_many() -> None:
    sender = Sender()
    few = 0.4 * LEAST_BYTES / (RATE * LOOK_S)
    assert sender.looks(5.0, gets=few, times=4) == [True, True, False, False]
