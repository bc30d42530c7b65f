"""Maps of chunks travel whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from core.wantmap import WantMap
from transports.member.proto.framing import MAX_FRAME_BYTES, encode_message
from transports.member.proto.maps import pack_wants, unpack_wants
from transports.multicast.proto.lane import Join
from transports.multicast.proto.limits import MAX_CHUNKS


@given(st.lists(st.booleans(), max_size=300))
def test_wants_travel_as_a_want_map(flags: list[bool]) -> None:
    wanted = np.array(flags, dtype=np.bool_)
    data = pack_wants(wanted)
    assert unpack_wants(data, len(flags)).tolist() == flags
    packed = np.packbits(wanted, bitorder="little").tobytes()
    assert list(WantMap.from_bytes(packed, len(flags))) == np.flatnonzero(wanted).tolist()


def test_the_largest_map_fits_a_frame() -> None:
    noise = np.random.default_rng(1).random(1 << 22) < 0.5
    assert len(encode_message(Join(wanted=pack_wants(noise)))) <= MAX_FRAME_BYTES
    assert len(pack_wants(np.ones(MAX_CHUNKS, dtype=np.bool_))) < 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        pack_wants(np.ones(8, dtype=np.bool_)),
        pack_wants(np.ones(9, dtype=np.bool_)),
        pack_wants(np.ones(17, dtype=np.bool_)),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"\xff"),
        pack_wants(np.ones(8, dtype=np.bool_))[:-1],
    ],
)
def test_a_map_of_another_image_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack_wants(data, 7)
