"""A swarm on slow links does what it does on fast ones, only later: its times follow what a chunk takes there."""

from __future__ import annotations

import pytest

from bench.simnet.swarm.campus import GIGABIT, Campus, Outcome
from bench.simnet.swarm.peer import PeerSettings

MIB = 1 << 20
CHUNKS = 16
SPREAD_CHUNKS = 0.2
"""Of what a chunk takes on the wire: how long after the first the last peer comes."""
TRAIN_BYTES = 64 * 1024


def room(peers: int, *, rate: float, chunk_bytes: int, seed: int = 1) -> tuple[Campus, Outcome]:
    campus = Campus(
        chunks=CHUNKS,
        chunk_bytes=chunk_bytes,
        seed=seed,
        origin_bytes_per_s=rate,
        train_bytes=TRAIN_BYTES,
    )
    settings = PeerSettings(up_bytes_per_s=rate, down_bytes_per_s=rate, slots=CHUNKS)
    campus.join(peers, spread_s=SPREAD_CHUNKS * chunk_bytes / rate, settings=settings)
    return campus, campus.until_done()


@pytest.mark.parametrize("peers", [6, 8, 12, 20])
@pytest.mark.parametrize("rate", [GIGABIT / 100, GIGABIT / 20])
def test_honest_peers_of_a_slow_room_do_not_give_each_other_up(peers: int, rate: float) -> None:
    """Chunks of 4 MiB at 10 Mbit/s: with times made for fast links this room took eight times the bound."""
    fast = room(peers, rate=GIGABIT, chunk_bytes=4 * MIB)[1]
    campus, slow = room(peers, rate=rate, chunk_bytes=4 * MIB)
    assert slow.unfinished == []
    assert sum(peer.swarm.standing.rests for peer in campus.peers.values()) == 0
    assert slow.origin_copies == pytest.approx(1.0)
    assert slow.ratio <= 1.1 * fast.ratio


def test_the_first_chunks_of_a_slow_room_are_not_assigned_twice() -> None:
    """Eight of 16 MiB are under way at 10 Mbit/s for 107 s."""
    outcome = room(8, rate=GIGABIT / 100, chunk_bytes=16 * MIB)[1]
    assert outcome.unfinished == []
    assert outcome.origin_copies == pytest.approx(1.0)
