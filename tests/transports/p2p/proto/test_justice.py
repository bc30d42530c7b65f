"""One word parts two; who is put out is put out for good."""

from __future__ import annotations

import pytest

from core.errors import ProtocolError
from tests.transports.p2p.proto.test_society import SocietyRoom
from transports.p2p.proto.justice import Justice
from transports.p2p.proto.messages import BadChunk
from transports.p2p.proto.notices import Notices


def _digest(chunk: int) -> bytes:
    return chunk.to_bytes(32, "big")


def _court(members: int) -> tuple[SocietyRoom, Justice, Notices]:
    room, notices = SocietyRoom(), Notices()
    for number in range(1, members + 1):
        room.add(number)
    return room, Justice(room.members, room.society, notices, _digest), notices


def _word(peer: int, chunk: int = 3, **fields: bytes) -> BadChunk:
    return BadChunk(
        peer=peer, chunk=chunk, expected=fields.get("expected", _digest(chunk)), got=fields.get("got", bytes(32))
    )


def test_the_first_word_parts_and_the_second_convicts() -> None:
    room, justice, notices = _court(4)
    members = room.members
    assert justice.handle_bad_chunk(members[1], _word(4)) is None
    assert members[4] not in room.society.neighbours(members[1])
    assert justice.handle_bad_chunk(members[2], _word(4)) == (members[4], "sends bad chunks")
    assert notices.counts["bad_chunks"] == 2
    event = notices.poll_events()[0]
    assert event[0] == "bad_chunk"
    assert event[1]["expected"] == _digest(3).hex()
    assert event[1]["got"] == bytes(32).hex()


def test_who_is_put_out_stays_out_until_its_session_is_over() -> None:
    room, justice, notices = _court(2)
    justice.ban(room.members[1], "sends bad chunks")
    assert notices.poll_expelled() == [(1, "banned from the swarm: sends bad chunks")]
    with pytest.raises(ProtocolError, match="banned"):
        justice.check("s1")
    justice.check("s2")
    justice.handle_closed("s1")
    justice.check("s1")


def test_words_that_cannot_be_true_are_an_offence_and_words_about_strangers_are_ignored() -> None:
    room, justice, notices = _court(4)
    members = room.members
    for lie in (_word(2, expected=bytes(32)), _word(2, got=_digest(3))):
        with pytest.raises(ProtocolError):
            justice.handle_bad_chunk(members[1], lie)
    assert justice.handle_bad_chunk(members[1], _word(99)) is None
    stranger = room.add(9, subnet="y")
    members[1].bridges.clear()
    assert justice.handle_bad_chunk(members[1], _word(9)) is None
    assert not stranger.banned
    assert notices.counts["accusations_ignored"] == 1


def test_what_was_said_by_who_has_gone_convicts_nobody() -> None:
    room, justice, _ = _court(4)
    assert justice.handle_bad_chunk(room.members[1], _word(4)) is None
    justice.handle_closed(room.members[1].session)
    assert justice.handle_bad_chunk(room.members[2], _word(4)) is None


def test_two_sessions_of_one_machine_convict_nobody_elsewhere() -> None:
    room, justice, _ = _court(5)
    for number, host in ((1, "10.0.0.1"), (2, "10.0.0.1"), (3, "10.0.0.3"), (4, "10.0.0.4")):
        room.members[number].host = host
    assert justice.handle_bad_chunk(room.members[1], _word(4)) is None
    assert justice.handle_bad_chunk(room.members[2], _word(4)) is None
    assert justice.handle_bad_chunk(room.members[3], _word(4)) == (room.members[4], "sends bad chunks")
