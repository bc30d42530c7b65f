"""The checks find transports that break the contract."""

from __future__ import annotations

import pytest

from transports.base import Delivery
from transports.conformance.fetching import (
    CHECKS,
    check_a_rejected_chunk_comes_again,
    check_delivers_every_chunk_once,
    check_leaving_midway_releases_everything,
)
from transports.conformance.scene import Check, Rig
from transports.memory import MemoryClient, MemoryIncoming, MemoryServer


def _break(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    deliver = MemoryIncoming._deliver

    def leaky(self: MemoryIncoming, chunk: int, slot: object) -> Delivery | None:
        self._arena.try_acquire()
        return deliver(self, chunk, slot)  # type: ignore[arg-type]

    if fault == "forgets rejected chunks":
        monkeypatch.setattr(MemoryIncoming, "reject", lambda self, delivery, reason: self.accept(delivery))
    else:
        monkeypatch.setattr(MemoryIncoming, "_deliver", leaky)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("forgets rejected chunks", check_a_rejected_chunk_comes_again),
        ("leaks slots", check_leaving_midway_releases_everything),
    ],
)
async def test_a_faulty_transport_fails(monkeypatch: pytest.MonkeyPatch, fault: str, check: Check) -> None:
    _break(monkeypatch, fault)
    with pytest.raises(AssertionError):
        await check(Rig(server=MemoryServer, client=MemoryClient))


def test_every_check_is_listed() -> None:
    assert check_delivers_every_chunk_once in CHECKS
    assert len(set(CHECKS)) == len(CHECKS)
