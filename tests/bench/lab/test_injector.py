"""A forgery is a whole frame under the server's address, and differs from what was heard as its kind says."""

from __future__ import annotations

import random
import struct

import pytest

from bench.lab.injector import ETHERNET_BYTES, KEPT_BYTES, forge, frame_of, payload_of, sender_of

OWN = b"\x02\0\0\0\0\x09"


def _frame(payload: bytes, *, group: bool = True, protocol: int = 17) -> bytes:
    ethernet = (b"\x01\0\x5e\1\2\3" if group else b"\x02\0\0\0\0\1") + b"\x02\0\0\0\0\2" + b"\x08\0"
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 1, protocol, 0, b"\x0a\x4d\0\1", b"\xe8\1\2\3")
    return ethernet + ip + struct.pack("!HHHH", 1000, 9000, 8 + len(payload), 77) + payload


def test_only_packets_for_groups_are_taken() -> None:
    payload = bytes(range(200))
    frame = _frame(payload)
    place = payload_of(frame)
    assert place is not None
    assert frame[place[0] : place[1]] == payload
    assert payload_of(_frame(payload, group=False)) is None
    assert payload_of(_frame(payload, protocol=6)) is None
    assert payload_of(b"short") is None


def test_forged_reports_go_where_members_send_theirs() -> None:
    assert sender_of(_frame(bytes(500))) == ("10.77.0.1", 1000)


def test_a_forged_frame_keeps_the_sender_and_has_a_right_head() -> None:
    frame = _frame(bytes(500))
    made = frame_of(frame, b"x" * 300, OWN)
    assert made[6:12] == OWN
    place = payload_of(made)
    assert place is not None
    assert made[place[0] : place[1]] == b"x" * 300
    ip = made[ETHERNET_BYTES : ETHERNET_BYTES + 20]
    total = sum(struct.unpack("!10H", ip))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    assert ip[12:16] == frame[ETHERNET_BYTES + 12 : ETHERNET_BYTES + 16]


@pytest.mark.parametrize("seed", range(12))
def test_each_kind_changes_what_it_says(seed: int) -> None:
    rng = random.Random(seed)
    payload = rng.randbytes(1000)
    content = forge("content", payload, rng)
    assert content[:KEPT_BYTES] == payload[:KEPT_BYTES]
    assert content[KEPT_BYTES:] != payload[KEPT_BYTES:]
    assert len(content) == len(payload)
    assert forge("malformed", payload, rng) != payload
    assert forge("replay", payload, rng) == payload
