"""One lane's view of what a peer holds."""

from __future__ import annotations

import pytest

from core.errors import ProtocolError
from transports.unicast.proto.frames import FrameReader, Header, Op, Status
from transports.unicast.proto.holdings import MapTeller
from transports.unicast.proto.limits import MAX_NEWS_CHUNKS
from transports.unicast.proto.messages import unpack_chunks

ASKED = Header(op=Op.MAP, message=3, subject=2)


class _All:
    def holds(self, chunk: int) -> bool:
        return True

    def packed(self) -> bytes:
        return b"packed"


def test_who_has_everything_tells_no_map() -> None:
    teller = MapTeller()
    assert Header.parse(teller.tell_map(ASKED, None)[:24]).status is Status.NOT_FOUND
    assert teller.tell_change(Op.NEWS, [1]) == []


def test_many_news_are_cut_into_frames_of_legal_length() -> None:
    teller = MapTeller()
    assert teller.tell_map(ASKED, _All()).endswith(b"packed")
    chunks = list(range(2 * MAX_NEWS_CHUNKS + 1))
    reader = FrameReader(lambda header, head: None)
    for frame in teller.tell_change(Op.GONE, chunks):
        reader.handle_bytes(frame)
    told: list[int] = []
    while (got := reader.poll_frame()) is not None:
        assert (got.header.op, got.header.subject) == (Op.GONE, 2)
        told += unpack_chunks(got.payload, len(chunks))
    assert told == chunks


def test_a_second_map_is_a_violation() -> None:
    teller = MapTeller()
    teller.tell_map(ASKED, _All())
    with pytest.raises(ProtocolError):
        teller.tell_map(ASKED, _All())
