"""The tracker: peers come, finish, go and fall silent; floods reach a bound and cost nobody else. Time is made up."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import NotFoundError
from repod.proto.announce import NUMWANT_MAX, Announce, AnnounceReply, Event
from repod.proto.tracker import EARLY_S, PEERS_PER_ADDRESS_MAX, Tracker, TrackerLimits

HASH = b"h" * 20
OTHER = b"o" * 20
INTERVAL_S = 60


def tracker(*, peers: int = 1000, peers_per_swarm: int = 500) -> Tracker:
    limits = TrackerLimits(peers=peers, peers_per_swarm=peers_per_swarm, interval_s=INTERVAL_S)
    made = Tracker(limits, rng=random.Random(4))
    made.handle_publish(HASH)
    return made


def announce(port: int = 6881, **changes: object) -> Announce:
    values = {
        "info_hash": HASH,
        "peer_id": b"i" * 20,
        "port": port,
        "left": 5,
        "event": Event.NONE,
        "numwant": 50,
        "compact": True,
        "no_peer_id": False,
    }
    return Announce(**{**values, **changes})  # type: ignore[arg-type]


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def say(made: Tracker, address: str, port: int = 6881, *, now: float = 0.0, **changes: object) -> AnnounceReply:
    return made.handle_announce(announce(port, **changes), packed(address), now=now)


def told(reply: AnnounceReply) -> set[str]:
    return {str(ipaddress.ip_address(peer.address)) for peer in reply.peers}


def test_the_second_is_told_of_the_first_and_nobody_of_itself() -> None:
    made = tracker()
    assert told(say(made, "10.0.0.1")) == set()
    assert told(say(made, "10.0.0.2")) == {"10.0.0.1"}
    assert told(say(made, "10.0.0.1", now=EARLY_S)) == {"10.0.0.2"}


def test_a_torrent_that_is_not_published_has_no_swarm() -> None:
    made = tracker()
    with pytest.raises(NotFoundError):
        say(made, "10.0.0.1", info_hash=OTHER)
    say(made, "10.0.0.1")
    made.handle_withdraw(HASH)
    made.handle_withdraw(HASH)
    assert made.peers == 0
    with pytest.raises(NotFoundError):
        say(made, "10.0.0.1")


def test_swarms_do_not_mix() -> None:
    made = tracker()
    made.handle_publish(OTHER)
    say(made, "10.0.0.1")
    assert told(say(made, "10.0.0.2", info_hash=OTHER)) == set()


def test_who_stops_is_told_to_nobody() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    assert told(say(made, "10.0.0.1", event=Event.STOPPED)) == set()
    say(made, "10.0.0.9", event=Event.STOPPED)  # never started
    assert told(say(made, "10.0.0.2")) == set()
    assert made.peers == 1


def test_who_is_silent_for_two_and_a_half_intervals_is_gone() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    made.poll_expired(now=2.5 * INTERVAL_S - 0.1)
    assert made.peers == 1
    made.poll_expired(now=2.5 * INTERVAL_S)
    assert made.peers == 0


def test_a_sign_of_life_keeps_a_peer() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    say(made, "10.0.0.2")
    say(made, "10.0.0.1", now=100.0)
    assert told(say(made, "10.0.0.3", now=200.0)) == {"10.0.0.1"}


def test_seeds_are_counted_and_told_to_those_who_lack_something() -> None:
    made = tracker()
    say(made, "10.0.0.1", event=Event.COMPLETED, left=0)
    say(made, "10.0.0.1", event=Event.COMPLETED, left=0)
    assert told(say(made, "10.0.0.2", left=0)) == set()
    reply = say(made, "10.0.0.3")
    assert told(reply) == {"10.0.0.1", "10.0.0.2"}
    assert (reply.complete, reply.incomplete) == (2, 1)
    assert made.state(HASH).completed == 1


def test_an_answer_has_at_most_what_was_asked_for() -> None:
    made = tracker()
    for last in range(200):
        say(made, f"10.0.{last}.1")
    assert len(say(made, "10.0.0.2", numwant=7).peers) == 7
    assert len(say(made, "10.0.0.3", numwant=NUMWANT_MAX).peers) == NUMWANT_MAX
    assert say(made, "10.0.0.4", numwant=0).peers == []


def test_most_peers_of_an_answer_are_of_the_same_subnet_and_some_are_not() -> None:
    made = tracker()
    for last in range(1, 101):
        say(made, f"10.0.0.{last}")
        say(made, f"10.0.1.{last}")
    near = [address for address in told(say(made, "10.0.1.200", numwant=40)) if address.startswith("10.0.1.")]
    assert len(near) == 30
    alone = tracker()
    for last in range(1, 60):
        say(alone, f"10.0.0.{last}")
    assert len(say(alone, "10.0.0.200", numwant=40).peers) == 40


def test_both_families_are_told_to_both() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    assert told(say(made, "fd00::1")) == {"10.0.0.1"}
    assert told(say(made, "10.0.0.2")) == {"10.0.0.1", "fd00::1"}


def test_a_peer_on_the_repository_itself_is_told_only_there() -> None:
    made = tracker()
    say(made, "127.0.0.1", 1)
    say(made, "::1", 1)
    assert told(say(made, "10.0.0.1")) == set()
    assert told(say(made, "127.0.0.1", 2)) == {"127.0.0.1", "::1", "10.0.0.1"}


def test_announcing_without_end_gets_no_peers_but_events_are_heard() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    say(made, "10.0.0.2")
    assert told(say(made, "10.0.0.2", now=1.0)) == set()
    assert made.early == 1
    assert told(say(made, "10.0.0.2", now=2.0, event=Event.COMPLETED)) == {"10.0.0.1"}


def test_who_takes_the_id_of_another_takes_nothing_else_from_it() -> None:
    made = tracker()
    say(made, "10.0.0.1")
    say(made, "10.0.0.66", event=Event.STOPPED)
    say(made, "10.0.0.66", 1)
    say(made, "10.0.0.66", 1, event=Event.STOPPED)
    assert told(say(made, "10.0.0.2")) == {"10.0.0.1"}
    assert told(say(made, "10.0.0.1", now=EARLY_S)) == {"10.0.0.2"}
    assert made.peers == 2


def test_an_address_that_floods_replaces_only_itself() -> None:
    made = tracker(peers_per_swarm=100)
    say(made, "10.0.0.1")
    for port in range(1, 3000):
        say(made, "10.0.0.66", port)
    assert made.peers == PEERS_PER_ADDRESS_MAX + 1
    assert "10.0.0.1" in told(say(made, "10.0.0.2", numwant=NUMWANT_MAX))


@pytest.mark.parametrize(("peers", "per_swarm"), [(20, 500), (1000, 20)])
def test_a_flood_from_one_subnet_reaches_the_bound_and_who_is_known_goes_on(peers: int, per_swarm: int) -> None:
    made = tracker(peers=peers, peers_per_swarm=per_swarm)
    for number in range(250):
        say(made, f"10.0.0.{number}")
    assert made.peers == 20
    assert (made.refused, made.crowded_out) == (230, 0)
    assert told(say(made, "10.0.0.0", now=EARLY_S)), "who is known goes on"


@pytest.mark.parametrize(("peers", "per_swarm"), [(20, 500), (1000, 20)])
def test_a_full_table_has_room_for_who_comes_from_elsewhere(peers: int, per_swarm: int) -> None:
    made = tracker(peers=peers, peers_per_swarm=per_swarm)
    for number in range(100):
        say(made, f"10.66.0.{number}")
    for number in range(1, 6):
        say(made, f"10.1.0.{number}", now=1.0)
    for number in range(100, 200):
        say(made, f"10.66.0.{number}", now=2.0)
    assert made.peers == 20
    real = {address for address in told(say(made, "10.1.0.1", now=10.0)) if address.startswith("10.1.")}
    assert real == {f"10.1.0.{number}" for number in range(2, 6)}


def test_in_a_full_subnet_the_address_with_most_ports_makes_room() -> None:
    made = tracker(peers_per_swarm=20)
    for port in range(1, 40):
        say(made, "10.0.0.66", port)
    for last in range(1, 10):
        say(made, f"10.0.0.{last}")
    assert made.peers == 20
    assert {f"10.0.0.{last}" for last in range(1, 10)} < told(say(made, "10.0.0.200"))


def test_a_flooded_torrent_takes_no_room_from_another() -> None:
    made = tracker(peers=20)
    made.handle_publish(OTHER)
    for number in range(100):
        say(made, f"10.{number}.0.1")
    say(made, "10.0.0.2", info_hash=OTHER)
    assert told(say(made, "10.0.0.3", info_hash=OTHER)) == {"10.0.0.2"}
    assert made.peers == 20
    assert made.crowded_out == 2


def test_who_finds_no_room_is_told_of_those_who_have_it() -> None:
    made = tracker(peers=2)
    made.handle_publish(OTHER)
    made.handle_publish(b"t" * 20)
    say(made, "10.0.0.1")
    say(made, "10.1.0.1", info_hash=OTHER)
    assert told(say(made, "10.2.0.1", info_hash=OTHER)) == {"10.1.0.1"}
    assert told(say(made, "10.2.0.1", info_hash=b"t" * 20)) == set()
    assert made.refused == 2


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 6), st.integers(1, 3), st.sampled_from(list(Event)), st.integers(0, 1), st.floats(0, 90)
        ),
        max_size=80,
    )
)
def test_counts_are_those_of_the_peers(steps: list[tuple[int, int, Event, int, float]]) -> None:
    made = tracker(peers=8, peers_per_swarm=6)
    now = 0.0
    alive: dict[tuple[int, int], tuple[float, int]] = {}
    for host, port, event, left, passed in steps:
        now += passed
        alive = {key: value for key, value in alive.items() if now - value[0] < 2.5 * INTERVAL_S}
        key = (host, port)
        refused = made.refused
        reply = say(made, f"10.0.{host % 3}.{host}", port, now=now, event=event, left=left, numwant=NUMWANT_MAX)
        alive.pop(key, None)
        if event is not Event.STOPPED and made.refused == refused:
            alive[key] = (now, left)
        assert made.peers <= len(alive)
        if made.crowded_out == 0:
            assert made.peers == len(alive)
            assert reply.complete == sum(left == 0 for _, left in alive.values())
        assert made.peers <= 6
        assert reply.incomplete == made.peers - reply.complete
        assert {(peer.address[-1], peer.port) for peer in reply.peers} <= set(alive) - {key}
