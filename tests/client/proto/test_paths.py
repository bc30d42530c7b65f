from __future__ import annotations

from client.proto.paths import RESTS_MAX, PathPolicy

OFFERED = ["multicast", "unicast"]


def test_the_order_of_the_offers_counts() -> None:
    assert PathPolicy(first="multicast").poll_choice(OFFERED, 0) == "multicast"


def test_what_was_given_up_is_not_taken_again() -> None:
    policy = PathPolicy(first="multicast")
    policy.handle_given_up("multicast", "no IGMP querier")
    assert policy.poll_choice(OFFERED, 1e9) == "unicast"
    policy.handle_given_up("unicast", "broken")
    assert policy.poll_choice(OFFERED, 1e9) is None
    assert policy.given_up["multicast"] == "no IGMP querier"


def test_after_its_rest_a_transport_may_be_taken_again() -> None:
    policy = PathPolicy(first="multicast")
    assert policy.handle_rest("multicast", 0, 30, "lossy")
    assert policy.poll_choice(OFFERED, 1) == "unicast"
    assert not policy.is_able("multicast", 29)
    assert policy.is_able("multicast", 30)
    policy.handle_given_up("multicast", "blocked")
    assert not policy.is_able("multicast", 30)


def test_a_broken_connection_is_tried_again_and_counts_as_no_rest() -> None:
    policy, now = PathPolicy(first="multicast"), 0.0
    for _ in range(5 * RESTS_MAX):
        policy.handle_broken("multicast", now, 2.0)
        assert not policy.is_able("multicast", now + 1.9)
        now += 2.0
        assert policy.is_able("multicast", now)
    assert policy.given_up == {}


def test_rests_grow_and_end() -> None:
    policy, now = PathPolicy(first="multicast"), 0.0
    for number in range(RESTS_MAX):
        assert policy.handle_rest("multicast", now, 10, "lossy")
        assert not policy.is_able("multicast", now + 10 * 2**number - 0.1)
        now += 10 * 2**number
    assert not policy.handle_rest("multicast", now, 10, "lossy")
    assert policy.poll_choice(OFFERED, 1e9) == "unicast"


def test_without_fallback_only_the_method_counts() -> None:
    policy = PathPolicy(first="multicast", fallback=False)
    assert policy.poll_choice(["unicast"], 0) is None
    policy.handle_rest("multicast", 0, 30, "lossy")
    assert policy.poll_choice(OFFERED, 1) == "multicast"
    policy.handle_given_up("multicast", "blocked")
    assert policy.poll_choice(OFFERED, 1) is None
