from __future__ import annotations

from client.proto.paths import RESTS_MAX, WORTH_CHUNKS, PathPolicy

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


def test_after_its_rest_a_transport_is_worth_a_return_if_enough_is_lacking() -> None:
    policy = PathPolicy(first="multicast")
    assert policy.handle_rest("multicast", 0, 30, "lossy")
    assert policy.poll_choice(OFFERED, 1) == "unicast"
    assert not policy.poll_return("unicast", OFFERED, 29, 1000)
    assert policy.poll_return("unicast", OFFERED, 30, WORTH_CHUNKS)
    assert not policy.poll_return("unicast", OFFERED, 30, WORTH_CHUNKS - 1)
    assert not policy.poll_return("multicast", OFFERED, 30, 1000)


def test_rests_grow_and_end() -> None:
    policy, now = PathPolicy(first="multicast"), 0.0
    for number in range(RESTS_MAX):
        assert policy.handle_rest("multicast", now, 10, "lossy")
        assert not policy.poll_return("unicast", OFFERED, now + 10 * 2**number - 0.1, 1000)
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
