from __future__ import annotations

import pytest

from bench.simnet.swarm.campus import Campus
from core.errors import ProtocolError
from transports.p2p.proto.messages import Stop

MIB = 1 << 20


def test_it_hears_of_every_chunk_and_says_when_nobody_lacks_any() -> None:
    campus = Campus(chunks=16, chunk_bytes=MIB)
    campus.join(3)
    campus.until_done()
    campus.clock.run(until=campus.clock.now + 1)
    assert campus.repod.directory.lacking == 0
    assert all(peer.stopped for peer in campus.peers.values())


def test_what_no_member_says_is_a_mistake_of_the_simulation() -> None:
    campus = Campus(chunks=1, chunk_bytes=MIB)
    campus.join(1)
    campus.until_done()
    with pytest.raises(ProtocolError, match="Stop"):
        campus.repod.hear(campus.peers[0], Stop(reason=""))


def test_when_it_comes_back_it_knows_nobody_and_hears_from_all() -> None:
    campus = Campus(chunks=64, chunk_bytes=MIB, origin_bytes_per_s=25e6)
    campus.join(4)
    campus.kill_repod(at=1.0, back_at=3.0)
    outcome = campus.until_done(at_most_s=120)
    assert outcome.unfinished == []
    assert len(campus.repod.directory) == 4
    assert 1.0 <= outcome.origin_copies < 1.4
