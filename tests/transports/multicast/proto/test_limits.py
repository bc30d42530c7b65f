from __future__ import annotations

import pytest

from transports.multicast.authenticator import HEADER_BYTES, MESSAGE_ALIGN_BYTES, SEQUENCE_MAX, TAG_BYTES
from transports.multicast.proto import limits
from transports.multicast.proto.packets import packet_bytes


@pytest.mark.parametrize(("mtu", "ipv6", "symbol"), [(1500, False, 1448), (1500, True, 1424), (9000, False, 8944)])
def test_a_packet_with_the_largest_symbol_just_fits_the_link(mtu: int, ipv6: bool, symbol: int) -> None:
    assert limits.symbol_bytes_for(mtu, ipv6=ipv6) == symbol
    headers = 48 if ipv6 else 28
    assert mtu - 8 < packet_bytes(symbol) + headers <= mtu


def test_no_link_asks_for_more_than_the_largest_symbol() -> None:
    assert limits.symbol_bytes_for(65535) == limits.MAX_SYMBOL_BYTES


def test_both_halves_agree_on_tags_and_sequence_numbers() -> None:
    assert limits.TAG_BYTES == TAG_BYTES
    assert limits.HEADER_BYTES == HEADER_BYTES
    assert limits.SEQUENCE_LIMIT == SEQUENCE_MAX + 1
    assert (limits.HEADER_BYTES + limits.symbol_bytes_for(1500)) % MESSAGE_ALIGN_BYTES == 0
