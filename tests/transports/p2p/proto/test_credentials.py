"""A credential serves one pair of peers, in one direction."""

from __future__ import annotations

import pytest
from blake3 import blake3

from transports.p2p.proto.credentials import credential, is_far, lane_name, listen_key, member_of

SECRET = bytes(range(32))


def test_the_derivations_are_those_of_the_wire_page() -> None:
    key = listen_key(SECRET, 7)
    assert key == blake3(b"ogcast p2p 1 listen\0" + b"\7\0\0\0", key=SECRET).digest()
    assert credential(key, 9) == blake3(b"ogcast p2p 1 peer\0" + b"\x09\0\0\0", key=key).digest()
    assert credential(key, 9, far=True) == blake3(b"ogcast p2p 1 far\0" + b"\x09\0\0\0", key=key).digest()


def test_no_two_pairs_share_a_credential() -> None:
    found = {
        credential(listen_key(SECRET, to), asking, far=far)
        for to in range(1, 20)
        for asking in range(1, 20)
        for far in (False, True)
    }
    assert len(found) == 2 * 19 * 19
    assert credential(listen_key(bytes(32), 1), 2) not in found


@pytest.mark.parametrize("member", [1, 7, 2**32 - 1])
def test_a_lane_is_named_by_who_asks(member: int) -> None:
    for far in (False, True):
        name = lane_name(member, far=far)
        assert member_of(name) == member
        assert is_far(name) == far


@pytest.mark.parametrize(
    "name", ["", "p", "7", "p0", "p01", "p-1", "p1 ", "P1", "f0", "pf1", "p4294967296", "p99999999999", "p\u0661"]
)
def test_other_names_belong_to_nobody(name: str) -> None:
    assert member_of(name) is None


def test_a_key_has_its_length() -> None:
    with pytest.raises(ValueError, match="32"):
        credential(b"short", 1)
