from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from client.proto.mending import PATIENCE_RESTING_S
from client.proto.paths import WORTH_CHUNKS, PathPolicy
from client.proto.picker import Facts, Way
from client.proto.steering import (
    FLOOD_S,
    KEEP_CHUNKS,
    LEAVING_S,
    LOSSY,
    LOSSY_S,
    REST_S,
    SETTLE_S,
    STALL_GROUP_S,
    STALL_S,
    TAIL_CHUNKS,
    Act,
    Close,
    Open,
    Steering,
)
from core.wantmap import WantMap
from transports.base import Outlook

WAYS = (Way(name="cast", group=True), Way(name="swarm", peers=True), Way(name="plain"))
CHUNKS = 64
NOTHING = Outlook(under_way=frozenset())


def _steering(
    first: str = "cast",
    *,
    facts: Facts | None = None,
    auto: bool = False,
    fallback: bool = True,
    draw: float = 0.0,
    heard: str = "",
) -> tuple[Steering, WantMap, PathPolicy]:
    want, paths = WantMap(CHUNKS), PathPolicy(first=first, fallback=fallback)
    facts = facts or Facts(sessions=3, near=3)
    steering = Steering(want, ways=WAYS, paths=paths, facts=facts, auto=auto, now=0.0, draw=draw, heard=heard)
    return steering, want, paths


def _have(steering: Steering, want: WantMap, chunk: int, now: float) -> None:
    owner = steering.claims.owner(chunk)
    assert owner is not None
    want.discard(chunk)
    steering.claims.discard(chunk)
    steering.handle_arrived(owner, now)


def _join(steering: Steering, want: WantMap) -> None:
    """The group is joined, has brought its first chunk (the last of the image), and peers stand by."""
    assert steering.poll(0.0, {}) == [Open(name="cast")]
    _have(steering, want, CHUNKS - 1, 0.1)
    assert steering.poll(0.2, {"cast": NOTHING}) == [Open(name="swarm")]


def test_a_group_is_joined_for_everything_and_peers_stand_by_when_it_arrives() -> None:
    steering, want, _ = _steering()
    assert steering.poll(0.0, {}) == [Open(name="cast")]
    assert len(steering.claims.share("cast")) == CHUNKS
    assert steering.poll(0.1, {"cast": NOTHING}) == []
    _have(steering, want, 0, 0.2)
    assert steering.poll(0.3, {"cast": NOTHING}) == [Open(name="swarm")]
    assert steering.roles == {"cast": "main", "swarm": "helps"}
    assert len(steering.claims.share("swarm")) == 0
    assert steering.poll(0.4, {"cast": NOTHING, "swarm": NOTHING}) == []


def test_who_heard_a_group_stays_with_it_until_it_is_known_that_nobody_else_does() -> None:
    steering, want, _ = _steering(facts=Facts(), auto=True, heard="cast")
    assert steering.poll(0.0, {}) == [Open(name="cast")]
    _have(steering, want, CHUNKS - 1, 0.1)
    for now in (0.5, SETTLE_S + 0.1, 10 * SETTLE_S):
        assert Open(name="plain") not in steering.poll(now, {"cast": NOTHING})
    steering.facts = Facts()  # the repository was asked again
    assert Open(name="plain") in steering.poll(10 * SETTLE_S + 0.1, {"cast": NOTHING})


def test_who_heard_a_group_and_is_not_alone_stays_with_it() -> None:
    steering, _, _ = _steering(facts=Facts(), auto=True, heard="cast")
    assert steering.poll(0.0, {}) == [Open(name="cast")]
    steering.facts = Facts(sessions=3, near=3)
    assert steering.poll(0.5, {"cast": NOTHING}) == []
    assert steering.choice is not None
    assert steering.choice.name == "cast"


def test_a_group_that_was_heard_and_cannot_be_taken_is_not_begun_with() -> None:
    steering, _, paths = _steering(facts=Facts(), auto=True, heard="cast")
    paths.handle_rest("cast", 0.0, 60.0, "too fast")
    assert steering.poll(0.0, {}) == [Open(name="plain")]


def test_a_busy_machine_keeps_nothing_for_peers_beside_a_group_only() -> None:
    steering, want, _ = _steering()
    assert steering.gives
    _join(steering, want)
    for busy in (True, False):
        steering.busy = busy
        assert steering.gives == (not busy)
    steering.busy = True
    steering.facts = Facts(sessions=3, near=3, others={"swarm": 1})  # somebody is carried by peers
    assert steering.gives
    steering.facts = Facts(sessions=3, near=3, others={"cast": 2})
    assert not steering.gives
    steering.facts = Facts(sessions=22, near=22, others={"cast": 20, "swarm": 1})
    assert steering.gives
    swarm, _, _ = _steering("swarm")
    assert swarm.poll(0.0, {}) == [Open(name="swarm")]
    swarm.busy = True
    assert swarm.gives


def test_a_busy_machine_does_not_stand_by_for_others_but_gets_the_help_it_needs() -> None:
    steering, want, _ = _steering()
    steering.busy = True
    steering.poll(0.0, {})
    _have(steering, want, 40, 0.2)
    assert steering.poll(0.3, {"cast": NOTHING}) == []
    late = Outlook(under_way=frozenset(), last=frozenset({3}), repeating=True)
    assert steering.poll(0.4, {"cast": late}) == [Open(name="swarm")]


def test_of_busy_machines_two_stand_by_for_each_who_needs_it() -> None:
    room = Facts(sessions=21, near=21, others={"cast": 19, "swarm": 1})
    called = []
    for place in range(20):
        steering, want, _ = _steering(facts=room, draw=(place + 0.5) / 20)
        steering.busy = True
        steering.poll(0.0, {})
        _have(steering, want, 40, 0.2)
        called.append(steering.gives)
        assert steering.poll(0.3, {"cast": NOTHING}) == ([Open(name="swarm")] if steering.gives else [])
    assert called == [True] * 2 + [False] * 18
    steering.facts = Facts(sessions=12, near=12, others={"cast": 1, "swarm": 10})
    assert steering.gives


def test_methods_without_a_group_open_one_lane() -> None:
    for first in ("swarm", "plain"):
        steering, _, _ = _steering(first)
        assert steering.poll(0.0, {}) == [Open(name=first)]


def test_without_fallback_nothing_stands_beside_the_methods_own() -> None:
    steering, _, paths = _steering(fallback=False)
    assert steering.poll(0.0, {}) == [Open(name="cast")]
    paths.handle_given_up("cast", "blocked")
    steering.handle_ended("cast", 1.0)
    assert steering.poll(1.0, {}) == []


def test_a_late_joiner_takes_the_head_from_peers_from_its_far_end() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    cast = Outlook(under_way=frozenset({31, 32}), last=frozenset(range(31)), repeating=True)
    steering.poll(1.0, {"cast": cast, "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [30]
    _have(steering, want, 30, 1.5)
    rest = Outlook(under_way=frozenset({33}), last=frozenset(range(30)), repeating=True)
    steering.poll(1.6, {"cast": rest, "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [28, 29]
    assert not {31, 32, 33} & set(steering.claims.share("swarm"))


def test_a_group_that_sends_what_all_lack_keeps_a_link_that_it_fills() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    behind = frozenset(range(31))
    for now in (0.4, 1.4):  # its own loss is to be known first
        steering.poll(now, {"cast": Outlook(under_way=frozenset(), last=behind), "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [30]
    _have(steering, want, 30, 1.5)
    for now, more, mended in (
        (1.6, {}, 0),
        (30.0, {}, 0),
        (30.2, {"repeating": True}, 1),
        (30.4, {"resting": True}, 8),
    ):
        cast = Outlook(under_way=frozenset(), last=behind - {30}, loss=0.14 if now < 2 else 0.0, **more)
        steering.poll(now, {"cast": cast, "swarm": NOTHING})
        assert len(steering.claims.share("swarm")) == mended


def test_what_peers_bring_at_the_expense_of_a_fresh_group_is_broken_off() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    behind = frozenset(range(31))
    for now in (0.4, 1.4):
        steering.poll(now, {"cast": Outlook(under_way=frozenset(), last=behind), "swarm": NOTHING})
    crawls = Outlook(under_way=frozenset({30}))
    lossy = Outlook(under_way=frozenset(), last=behind, loss=0.1)
    assert steering.poll(1.6, {"cast": lossy, "swarm": crawls}) == [Close(name="swarm")]
    steering.handle_ended("swarm", 1.7)
    assert steering.claims.owner(30) == "cast"
    assert steering.poll(1.8, {"cast": lossy}) == [Open(name="swarm")]  # to give, and for later
    assert steering.poll(1.9, {"cast": lossy, "swarm": NOTHING}) == []
    assert len(steering.claims.share("swarm")) == 0


def test_a_group_stands_by_while_peers_bring_the_rest_and_gets_back_what_they_do_not_have() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    assert steering.stands_by("cast")
    assert steering.stands_by("swarm")
    assert not steering.stands_by("plain")
    for chunk in range(1, CHUNKS - 1):
        _have(steering, want, chunk, 1.0)
    resting = Outlook(under_way=frozenset(), last=frozenset({0}), resting=True)
    steering.poll(1.0 + REST_S, {"cast": resting, "swarm": NOTHING})
    assert steering.claims.owner(0) == "swarm"
    gone = Outlook(under_way=frozenset(), within_reach=frozenset())
    assert steering.poll(1.2 + REST_S, {"cast": NOTHING, "swarm": gone}) == []
    assert steering.claims.owner(0) == "cast"


def test_the_last_chunks_are_left_to_a_group_that_sends_still_or_did_just_now() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    for chunk in range(TAIL_CHUNKS + 1, CHUNKS - 1):
        _have(steering, want, chunk, 1.0)
    cast = Outlook(under_way=frozenset(), last=frozenset(range(TAIL_CHUNKS + 1)), repeating=True)
    steering.poll(1.1, {"cast": cast, "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [TAIL_CHUNKS]
    _have(steering, want, TAIL_CHUNKS, 1.2)
    steering.poll(1.3, {"cast": cast, "swarm": NOTHING})
    assert not len(steering.claims.share("swarm"))
    resting = Outlook(under_way=frozenset(), last=cast.last, resting=True)
    steering.poll(1.4, {"cast": resting, "swarm": NOTHING})
    assert not len(steering.claims.share("swarm"))  # what it was asked for last may not be there yet
    steering.poll(1.2 + REST_S, {"cast": resting, "swarm": NOTHING})
    assert len(steering.claims.share("swarm")) > 1


def test_over_a_path_that_loses_packets_a_group_is_left_everything() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    behind = frozenset(range(31))
    lossy = Outlook(under_way=frozenset(), last=behind, repeating=True, loss=LOSSY)
    for chunk, now in ((40, 1.0), (41, 20.0), (42, 40.0)):
        _have(steering, want, chunk, now)  # it brings something now and then
        steering.poll(now + 0.9 * LOSSY_S, {"cast": lossy, "swarm": NOTHING})
        assert not len(steering.claims.share("swarm"))
    rests = Outlook(under_way=frozenset(), last=behind, resting=True, loss=LOSSY)
    steering.poll(40.0 + 0.9 * REST_S, {"cast": rests, "swarm": NOTHING})
    assert not len(steering.claims.share("swarm"))
    steering.poll(40.0 + REST_S, {"cast": rests, "swarm": NOTHING})  # it does not bring them, whatever the reason
    shared = set(steering.claims.share("swarm"))
    assert len(shared) > 1
    _have(steering, want, max(shared), 41.2)  # what peers bring says nothing of the group
    steering.poll(41.3, {"cast": rests, "swarm": NOTHING})
    assert len(steering.claims.share("swarm")) == len(shared)


def test_a_lossy_group_that_is_busy_with_others_is_not_waited_for_without_end() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    lossy = Outlook(under_way=frozenset(), last=frozenset(range(31)), repeating=True, loss=LOSSY)
    _have(steering, want, CHUNKS - 2, 1.0)
    for now, mended in ((1.2, 0), (1.0 + LOSSY_S, 1)):
        steering.poll(now, {"cast": lossy, "swarm": NOTHING})
        assert len(steering.claims.share("swarm")) == mended


def test_a_clean_group_is_not_taken_for_lossy_for_what_peers_cost_it() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    behind = frozenset(range(31))
    steering.poll(1.0, {"cast": Outlook(under_way=frozenset(), last=behind, repeating=True), "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [30]
    _have(steering, want, 30, 1.2)
    disturbed = Outlook(under_way=frozenset(), last=behind - {30}, repeating=True, loss=3 * LOSSY)
    steering.poll(1.3, {"cast": disturbed, "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [28, 29]


def test_a_machine_with_nothing_to_spare_opens_no_helper_that_a_lossy_group_leaves_nothing() -> None:
    steering, want, _ = _steering()
    steering.poll(0.0, {})
    steering.busy = True
    _have(steering, want, CHUNKS - 1, 0.1)
    lossy = Outlook(under_way=frozenset(), last=frozenset({1}), repeating=True, loss=LOSSY)
    assert steering.poll(1.0, {"cast": lossy}) == []
    clean = Outlook(under_way=frozenset(), last=frozenset({1}), repeating=True)
    assert steering.poll(1.2, {"cast": clean}) == [Open(name="swarm")]


def test_what_peers_were_asked_for_and_do_not_send_is_left_to_a_group_that_has_nothing_else_to_bring() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    for chunk in range(2, CHUNKS - 1):
        _have(steering, want, chunk, 1.0)
    resting = Outlook(under_way=frozenset(), last=frozenset({0, 1}), resting=True)
    steering.poll(1.0 + REST_S, {"cast": resting, "swarm": NOTHING})
    asked = Outlook(under_way=frozenset({0, 1}), begun=frozenset({1}))
    sending = Outlook(under_way=frozenset(), repeating=True)  # to others
    steering.poll(1.1 + REST_S, {"cast": sending, "swarm": asked})
    assert set(steering.claims.share("swarm")) == {0, 1}
    steering.poll(1.1 + REST_S + PATIENCE_RESTING_S, {"cast": sending, "swarm": asked})
    assert set(steering.claims.share("swarm")) == {1}  # what arrives stays


def test_only_what_peers_have_is_left_to_them_once_they_have_said_so() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    cast = Outlook(under_way=frozenset(), last=frozenset(range(31)), repeating=True)
    steering.poll(1.0, {"cast": cast, "swarm": NOTHING})
    assert list(steering.claims.share("swarm")) == [30]
    some = Outlook(under_way=frozenset(), within_reach=frozenset({3, 4, 50}))
    steering.poll(1.2, {"cast": cast, "swarm": some})
    assert list(steering.claims.share("swarm")) == [4]
    assert steering.claims.owner(30) == "cast"


def test_peers_that_have_nothing_of_what_is_lacking_are_given_up_sooner() -> None:
    steering, want, paths = _steering(facts=Facts(sessions=2, near=1))
    _join(steering, want)
    paths.handle_given_up("cast", "blocked")
    steering.handle_ended("cast", 3.0)
    nothing = Outlook(under_way=frozenset(), within_reach=frozenset())
    assert steering.poll(3.0 + STALL_S / 8, {"swarm": nothing}) == []
    assert isinstance(steering.poll(3.0 + STALL_S / 4, {"swarm": nothing})[0], Close)


def test_what_peers_do_not_have_is_left_to_the_group_again() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    cast = Outlook(under_way=frozenset(), last=frozenset(range(31)), repeating=True)
    steering.poll(1.0, {"cast": cast, "swarm": NOTHING})
    assert len(steering.claims.share("swarm")) == 1
    steering.poll(9.0, {"cast": cast, "swarm": NOTHING})
    assert len(steering.claims.share("swarm")) == 0
    assert len(steering.claims.share("cast")) == len(want)


def test_who_had_to_leave_the_group_is_carried_by_peers_and_comes_back_after_its_rest() -> None:
    steering, want, paths = _steering()
    _join(steering, want)
    paths.handle_rest("cast", 5.0, 20.0, "loses too much")
    steering.handle_ended("cast", 5.0)
    assert steering.roles == {"swarm": "carries"}
    assert len(steering.claims.share("swarm")) == len(want)
    assert steering.poll(5.1, {"swarm": NOTHING}) == []
    steering.handle_arrived("swarm", 24.9)
    busy = Outlook(under_way=frozenset(range(4)))
    assert steering.poll(25.1, {"swarm": busy}) == [Open(name="cast")]
    assert steering.roles == {"cast": "main", "swarm": "helps"}
    assert list(steering.claims.share("swarm")) == [0, 1, 2, 3]


def test_peers_that_bring_nothing_give_way_to_a_main_lane() -> None:
    steering, want, paths = _steering(facts=Facts(sessions=2, near=1))
    _join(steering, want)
    paths.handle_given_up("cast", "blocked")
    steering.handle_ended("cast", 3.0)
    assert steering.poll(3.0 + STALL_S / 2, {"swarm": NOTHING}) == []
    assert [act.name for act in steering.poll(3.0 + STALL_S, {"swarm": NOTHING})] == ["swarm"]
    steering.handle_ended("swarm", 6.0)
    assert steering.poll(6.0, {}) == [Open(name="plain")]
    assert len(steering.claims.share("plain")) == len(want)


def test_while_the_group_goes_on_peers_are_waited_for_longer() -> None:
    steering, want, paths = _steering(facts=Facts(sessions=8, near=8, others={"cast": 7}))
    _join(steering, want)
    paths.handle_given_up("cast", "loses too much")
    steering.handle_ended("cast", 3.0)
    assert steering.poll(3.0 + STALL_GROUP_S - 0.1, {"swarm": NOTHING}) == []
    assert isinstance(steering.poll(3.0 + STALL_GROUP_S, {"swarm": NOTHING})[0], Close)
    steering.handle_ended("swarm", 12.0)
    assert steering.poll(12.0, {}) == [Open(name="swarm")]  # now with what the repository gives
    assert steering.roles == {"swarm": "main"}


def test_a_cast_that_floods_a_slow_link_is_left() -> None:
    steering, want, paths = _steering()
    _join(steering, want)
    flooded = Outlook(under_way=frozenset(), loss=0.75)
    lanes = {"cast": flooded, "swarm": NOTHING}
    assert steering.poll(1.0, lanes) == []
    acts = steering.poll(1.0 + FLOOD_S, lanes)
    assert [act.name for act in acts] == ["cast"]
    assert isinstance(acts[0], Close)
    assert "75%" in acts[0].reason
    assert steering.poll(3.0, lanes) == []  # it is being closed
    steering.handle_ended("cast", 3.0)
    assert steering.roles == {"swarm": "carries"}
    assert not paths.is_able("cast", 4.0)


def test_loss_that_passes_is_borne() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    for now, loss in ((1.0, 0.75), (2.0, 0.1), (3.0, 0.75), (4.0, 0.75)):
        assert steering.poll(now, {"cast": Outlook(under_way=frozenset(), loss=loss), "swarm": NOTHING}) == []


def test_auto_goes_from_the_repository_to_a_group_when_others_come() -> None:
    steering, want, _ = _steering("", facts=Facts(), auto=True)
    assert steering.poll(0.0, {}) == [Open(name="plain")]
    assert steering.choice is not None
    assert "no other client" in steering.choice.reason
    for chunk in range(4):
        _have(steering, want, chunk, 1.0)
    busy = Outlook(under_way=frozenset({4, 5}))
    steering.facts = Facts(sessions=3, near=3)
    assert steering.poll(SETTLE_S / 2, {"plain": busy}) == [Open(name="cast")]  # at once
    assert steering.roles == {"cast": "main", "plain": "leaves"}
    kept = set(steering.claims.share("plain"))
    assert {4, 5} <= kept
    assert len(kept) == 2 + KEEP_CHUNKS
    for chunk in kept:
        _have(steering, want, chunk, 5.0)
    arrives = Outlook(under_way=frozenset({40}))
    assert steering.poll(6.0, {"plain": NOTHING, "cast": arrives}) == [Close(name="plain")]
    steering.handle_ended("plain", 6.1)
    assert steering.roles == {"cast": "main"}


def test_a_lane_that_crawls_beside_its_group_gives_up_what_it_has_begun_with() -> None:
    steering, want, _ = _steering("", facts=Facts(), auto=True)
    steering.poll(0.0, {})
    crawls = Outlook(under_way=frozenset({0, 1}))
    steering.facts = Facts(sessions=3, near=3)
    steering.poll(0.5, {"plain": crawls})
    outlooks = {"plain": crawls, "cast": Outlook(under_way=frozenset({40}))}
    assert Close(name="plain") not in steering.poll(5.0, outlooks)  # the group has brought nothing yet
    _have(steering, want, 40, 6.0)
    _have(steering, want, 0, 6.5)
    assert Close(name="plain") not in steering.poll(6.5 + LEAVING_S - 0.01, outlooks)
    assert Close(name="plain") in steering.poll(6.5 + LEAVING_S, outlooks)
    steering.handle_ended("plain", 8.0)
    assert 1 in steering.claims.share("cast")


def test_what_the_lane_before_has_not_really_begun_with_goes_to_the_group_once_that_arrives() -> None:
    steering, _, _ = _steering("", facts=Facts(), auto=True)
    steering.poll(0.0, {})
    plain = Outlook(under_way=frozenset({0, 1, 2}), begun=frozenset({0}))
    steering.facts = Facts(sessions=3, near=3)
    steering.poll(0.5, {"plain": plain})
    assert set(steering.claims.share("plain")) == {0, *range(1, 1 + KEEP_CHUNKS)}
    # As long as the group does not arrive there is always something to go on with.
    plain = Outlook(under_way=frozenset({0, 1, 2}), begun=frozenset({0, 1, 2}))
    steering.poll(0.7, {"plain": plain, "cast": NOTHING})
    assert set(steering.claims.share("plain")) == {0, 1, 2, *range(3, 3 + KEEP_CHUNKS)}
    steering.poll(0.9, {"plain": plain, "cast": Outlook(under_way=frozenset({40}))})
    assert set(steering.claims.share("plain")) == {0, 1, 2}
    assert len(steering.claims.share("cast")) == CHUNKS - 3
    # Whoever had company from the beginning thinks it over no sooner than before.
    steering.facts = Facts()
    steering.poll(1.0, {"plain": plain, "cast": NOTHING})
    assert steering.choice is not None
    assert steering.choice.name == "cast"


def test_a_group_that_turns_out_to_be_blocked_costs_the_lane_before_it_nothing() -> None:
    steering, _, paths = _steering("", facts=Facts(), auto=True)
    steering.poll(0.0, {})
    steering.facts = Facts(sessions=3, near=3)
    steering.poll(SETTLE_S, {"plain": NOTHING})
    assert steering.main == "cast"
    paths.handle_given_up("cast", "nothing arrives")
    steering.handle_ended("cast", 6.0)
    assert steering.main == "plain"
    assert len(steering.claims.share("plain")) == CHUNKS
    acts = steering.poll(7.0, {"plain": NOTHING, "swarm": NOTHING})
    assert Open(name="cast") not in acts


def test_no_better_lane_is_opened_for_a_few_chunks() -> None:
    steering, want, _ = _steering("", facts=Facts(), auto=True)
    steering.poll(0.0, {})
    for chunk in range(CHUNKS - WORTH_CHUNKS + 1):
        _have(steering, want, chunk, 1.0)
    steering.facts = Facts(sessions=5, near=5)
    assert steering.poll(10.0, {"plain": NOTHING}) == []


def test_a_lane_that_does_not_say_how_its_chunks_stand_keeps_them() -> None:
    steering, _, _ = _steering("", facts=Facts(), auto=True)
    steering.poll(0.0, {})
    steering.facts = Facts(sessions=5, near=5)
    assert steering.poll(10.0, {}) == []


def test_when_everything_is_here_nothing_is_opened_or_closed() -> None:
    steering, want, _ = _steering()
    _join(steering, want)
    want.discard_all(range(CHUNKS))
    assert steering.poll(1.0, {"cast": NOTHING, "swarm": NOTHING}) == []


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(["", "cast", "swarm", "plain"]), st.booleans())
def test_every_chunk_is_with_one_open_lane_and_what_is_under_way_stays_there(
    seed: int, first: str, fallback: bool
) -> None:
    """A session whose room, links and lanes do what they like."""
    rng = random.Random(seed)
    auto = not first
    steering, want, paths = _steering(first, auto=auto, fallback=fallback or auto, facts=Facts(sessions=1, near=1))
    lanes: set[str] = set()
    under_way: dict[str, set[int]] = {}
    now = 0.0
    for _ in range(60):
        now += rng.choice([0.1, 0.2, 1.0, 5.0])
        before = {name: set(chunks) for name, chunks in under_way.items()}
        outlooks = {
            name: Outlook(
                under_way=frozenset(under_way[name]),
                last=frozenset(rng.sample(range(CHUNKS), 8)) - under_way[name],
                loss=rng.choice([0.0, 0.0, 0.1, 0.8]),
                resting=rng.random() < 0.3,
            )
            for name in lanes
        }
        acts: list[Act] = steering.poll(now, outlooks)
        for act in acts:
            if isinstance(act, Open):
                assert act.name not in lanes
                lanes.add(act.name)
                under_way[act.name] = set()
            else:
                assert act.name in lanes
                lanes.discard(act.name)
                under_way.pop(act.name)
                steering.handle_ended(act.name, now)
        for name, chunks in before.items():
            if name in lanes:  # what a lane had begun with is still its own
                assert chunks <= set(steering.claims.share(name))
        assert set(steering.roles) == lanes
        if lanes:
            assert not steering.claims.unclaimed
        for name in sorted(lanes):
            share = list(steering.claims.share(name))
            under_way[name] = set(rng.sample(share, min(len(share), 3)))
            for chunk in list(under_way[name])[: rng.randrange(3)]:
                under_way[name].discard(chunk)
                _have(steering, want, chunk, now)
        if lanes and rng.random() < 0.2:
            name = rng.choice(sorted(lanes))
            match rng.randrange(3):
                case 0:
                    paths.handle_rest(name, now, 20.0, "asked to rest")
                case 1:
                    paths.handle_broken(name, now, 2.0)
                case _:
                    paths.handle_given_up(name, "does not work")
            lanes.discard(name)
            under_way.pop(name)
            steering.handle_ended(name, now)
        steering.busy = rng.random() < 0.5
        if rng.random() < 0.2:
            sessions = rng.randrange(1, 9)
            steering.facts = Facts(sessions=sessions, near=rng.randrange(1, sessions + 1), cached=rng.random() < 0.5)
