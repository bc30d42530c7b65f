from __future__ import annotations

import base64
from typing import Any

import pytest

from core.errors import ProtocolError
from transports.base import Offer
from transports.multicast.offer import CastOffer

GOOD: dict[str, Any] = {
    "cast": 7,
    "epoch": 1,
    "member": 3,
    "group": "232.194.1.1",
    "group_port": 9000,
    "source": "10.1.1.5",
    "source_specific": True,
    "report_port": 40000,
    "port": 8719,
    "key": base64.b64encode(bytes(32)).decode(),
    "symbol_bytes": 1424,
    "protection": "mac",
    "start_timeout_s": None,
}


def test_what_repod_offers_is_read_and_new_fields_are_ignored() -> None:
    offer = CastOffer.read(Offer(transport="multicast", parameters={**GOOD, "of_a_newer_version": 1}))
    assert offer.key == bytes(32)
    assert offer.ttl == 1


@pytest.mark.parametrize(
    "change",
    [
        {"group": "10.1.1.1"},
        {"group": "224.0.0.1"},
        {"symbol_bytes": 1425},
        {"symbol_bytes": 1 << 20},
        {"key": "AAAA"},
        {"key": "not base64!"},
        {"protection": "rot13"},
        {"port": 0},
        {"cast": 1 << 16},
        {"source_specific": "yes"},
    ],
    ids=str,
)
def test_an_offer_that_makes_no_sense_is_a_protocol_error(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        CastOffer.read(Offer(transport="multicast", parameters={**GOOD, **change}))


def test_an_offer_that_lacks_a_field_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        CastOffer.read(Offer(transport="multicast", parameters={k: v for k, v in GOOD.items() if k != "key"}))
