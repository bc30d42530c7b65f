"""Offers are read with distrust."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import ProtocolError
from transports.base import Offer
from transports.p2p.offer import SwarmOffer


def test_an_offer_needs_two_ports() -> None:
    read = SwarmOffer.read(Offer(transport="p2p", parameters={"port": 1, "origin_port": 2, "future": True}))
    assert (read.port, read.origin_port, read.mode, read.seconds) == (1, 2, "peer", 60)


@pytest.mark.parametrize(
    "change", [{"port": 0}, {"origin_port": "x"}, {"mode": "thief"}, {"seconds": -1}, {"dscp": 64}]
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        SwarmOffer.read(Offer(transport="p2p", parameters={"port": 1, "origin_port": 2, **change}))
