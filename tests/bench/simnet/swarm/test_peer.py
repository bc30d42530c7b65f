from __future__ import annotations

from dataclasses import replace

from bench.simnet.swarm.campus import GIGABIT, Campus
from bench.simnet.swarm.peer import PeerSettings

MIB = 1 << 20
USUAL = PeerSettings(up_bytes_per_s=GIGABIT, down_bytes_per_s=GIGABIT)


def test_a_liar_is_banned_and_nothing_of_it_is_kept() -> None:
    campus = Campus(chunks=48, chunk_bytes=MIB, seed=2)
    campus.join(5)
    liars = campus.join(1, settings=replace(USUAL, lies=True))
    outcome = campus.until_done(at_most_s=60)
    assert outcome.unfinished == []
    assert outcome.bad_taken >= 1
    assert outcome.banned == 1
    banned = {member for peer in campus.peers.values() for member in peer.swarm.standing.banned}
    assert banned == {campus.peers[liars[0]].member}


def test_a_peer_that_promises_and_never_sends_holds_nobody_up_for_long() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB, seed=3)
    campus.join(4)
    campus.join(1, settings=replace(USUAL, silent=True))
    outcome = campus.until_done(at_most_s=60)
    assert outcome.unfinished == []
    assert outcome.expired > 0


def test_a_leecher_gives_nothing() -> None:
    campus = Campus(chunks=16, chunk_bytes=MIB)
    campus.join(3)
    leecher = campus.join(1, settings=replace(USUAL, mode="leecher"))[0]
    assert campus.until_done(at_most_s=60).unfinished == []
    assert campus.peers[leecher].uploads.chunks_sent == 0


def test_who_keeps_little_says_what_it_lets_go_of() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB)
    campus.join(4, settings=replace(USUAL, ring_chunks=4))
    assert campus.until_done(at_most_s=120).unfinished == []
    campus.clock.run(until=campus.clock.now + 1)
    assert all(peer.held.sum() == 4 for peer in campus.peers.values())
    assert campus.repod.heard["Gone"] == 4 * 28


def test_a_slow_decoder_sets_the_pace_of_its_own_peer() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB)
    fast = campus.join(4)
    slow = campus.join(1, settings=replace(USUAL, verify_bytes_per_s=8 * MIB))[0]
    outcome = campus.until_done(at_most_s=60)
    assert outcome.done_s[slow] > 4.0
    assert max(outcome.done_s[number] for number in fast) < 1.5


def test_a_cap_holds_what_a_peer_gives() -> None:
    campus = Campus(chunks=32, chunk_bytes=MIB)
    campus.join(3, settings=replace(USUAL, upload_cap_bytes_per_s=4 * MIB))
    outcome = campus.until_done(at_most_s=120)
    assert outcome.unfinished == []
    # Each of three gives a third of the image to two others: 21 MiB, at 4 MiB a second.
    assert 4.0 < outcome.seconds < 12.0
