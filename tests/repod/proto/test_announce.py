"""Announces: within their bounds or refused, and answers that clients read as they were meant."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote

import bencode2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from repod.proto.announce import (
    NUMWANT_DEFAULT,
    NUMWANT_MAX,
    QUERY_MAX_CHARS,
    Announce,
    AnnounceReply,
    Event,
    PeerAddress,
    encode_failure,
    encode_reply,
    parse_announce,
)

HASH = bytes(range(20))
PEER = b"-TR4000-\x00\xff\x80%&=+ abc"[:20]
GOOD = {
    "info_hash": HASH,
    "peer_id": PEER.ljust(20, b"z"),
    "port": "6881",
    "uploaded": "0",
    "downloaded": "0",
    "left": "100",
    "compact": "1",
    "numwant": "80",
    "key": "abc",
    "event": "started",
}


def query(**changes: object) -> bytes:
    values = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items()).encode()  # type: ignore[call-overload]


def test_an_announce_is_read_byte_for_byte() -> None:
    announce = parse_announce(query())
    assert announce.info_hash == HASH
    assert announce.peer_id == GOOD["peer_id"]
    assert (announce.port, announce.left, announce.event) == (6881, 100, Event.STARTED)
    assert (announce.numwant, announce.compact, announce.no_peer_id) == (80, True, False)


def test_what_is_not_said_has_a_meaning() -> None:
    announce = parse_announce(query(left=None, event=None, numwant=None, compact=None))
    assert (announce.left, announce.event) == (1, Event.NONE)
    assert (announce.numwant, announce.compact) == (NUMWANT_DEFAULT, False)


@pytest.mark.parametrize(("said", "meant"), [("0", 0), ("-1", NUMWANT_DEFAULT), ("9" * 19, NUMWANT_MAX), ("x", 50)])
def test_numwant_is_bounded(said: str, meant: int) -> None:
    assert parse_announce(query(numwant=said)).numwant == meant


@pytest.mark.parametrize(
    "changes",
    [
        {"info_hash": None},
        {"info_hash": HASH[:19]},
        {"info_hash": HASH * 2},
        {"peer_id": b""},
        {"peer_id": b"x" * 500},
        {"port": None},
        {"port": "0"},
        {"port": "65536"},
        {"port": "-1"},
        {"port": "6881.0"},
        {"port": "\u0661\u0662"},
        {"left": "-1"},
        {"left": "9" * 30},
        {"left": "1e9"},
        {"event": "exploded"},
        {"event": "stärted"},
        {"key": "x" * QUERY_MAX_CHARS},
    ],
)
def test_absurd_parameters_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        parse_announce(query(**changes))


def test_saying_one_thing_twice_or_too_much_is_refused() -> None:
    with pytest.raises(ProtocolError, match="twice"):
        parse_announce(query() + b"&port=1")
    with pytest.raises(ProtocolError, match="parameters"):
        parse_announce(query() + b"".join(b"&x%d=" % n for n in range(80)))


def test_an_address_in_the_announce_is_not_even_read() -> None:
    fields = set(Announce.__dataclass_fields__)
    assert not fields & {"ip", "ipv4", "ipv6", "address"}
    assert parse_announce(query(ip="192.0.2.1")) == parse_announce(query())


@given(st.binary(max_size=400) | st.text(alphabet="=&%info_hashport0123456789", max_size=200).map(str.encode))
def test_bytes_are_an_announce_or_a_protocol_error(data: bytes) -> None:
    try:
        announce = parse_announce(data)
    except ProtocolError:
        return
    assert len(announce.info_hash) == len(announce.peer_id) == 20
    assert 1 <= announce.port <= 65_535
    assert 0 <= announce.numwant <= NUMWANT_MAX


def reply(*addresses: str) -> AnnounceReply:
    peers = [
        PeerAddress(address=ipaddress.ip_address(address).packed, port=1000 + at, peer_id=b"p" * 20)
        for at, address in enumerate(addresses)
    ]
    return AnnounceReply(interval_s=60, min_interval_s=10, complete=1, incomplete=2, peers=peers)


def test_the_short_form_has_each_family_in_its_place() -> None:
    answer = bencode2.bdecode(encode_reply(reply("10.0.0.1", "fd00::7", "10.0.0.2"), parse_announce(query())))
    assert answer[b"peers"] == bytes([10, 0, 0, 1, 3, 232, 10, 0, 0, 2, 3, 234])
    assert answer[b"peers6"] == ipaddress.ip_address("fd00::7").packed + (1001).to_bytes(2, "big")
    assert (answer[b"interval"], answer[b"min interval"]) == (60, 10)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 2)


def test_the_long_form_names_addresses_and_ids() -> None:
    long = parse_announce(query(compact="0"))
    answer = bencode2.bdecode(encode_reply(reply("10.0.0.1", "fd00::7"), long))
    assert answer[b"peers"][1] == {b"ip": b"fd00::7", b"port": 1001, b"peer id": b"p" * 20}
    plain = parse_announce(query(compact="0", no_peer_id="1"))
    assert bencode2.bdecode(encode_reply(reply("10.0.0.1"), plain))[b"peers"] == [{b"ip": b"10.0.0.1", b"port": 1000}]


def test_a_failure_says_why() -> None:
    assert bencode2.bdecode(encode_failure("no")) == {b"failure reason": b"no"}
