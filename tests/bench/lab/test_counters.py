"""What `nft`, `tc` and `ip` print is read; other entries in it are passed over."""

from __future__ import annotations

from bench.lab.counters import parse_interface, parse_nft_counters, parse_qdisc, path_counters

NFT = b"""{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"counter": {"family": "bridge", "name": "lost_to_c1",
"table": "lab", "handle": 1, "packets": 3, "bytes": 300}}, {"counter": {"family": "bridge", "name": "group_from_c1",
"table": "lab", "handle": 2, "packets": 5, "bytes": 500}}]}"""
QDISC = b"""[{"kind": "tbf", "handle": "8001:", "root": true, "options": {}, "bytes": 1514, "packets": 1, "drops": 2,
"overlimits": 0, "requeues": 0, "backlog": 0, "qlen": 0}]"""

INTERFACE = b"""[{"ifname": "c1", "stats64": {"rx": {"bytes": 9, "packets": 8, "errors": 0, "dropped": 7},
"tx": {"bytes": 6, "packets": 5, "errors": 4, "dropped": 3, "collisions": 2}}}]"""


def test_an_interface_is_counted_by_what_it_sent() -> None:
    assert parse_interface(INTERFACE) == (6, 5, 3)


def test_both_sources_make_one_host() -> None:
    named = parse_nft_counters(NFT)
    seen = path_counters("c1", named, parse_qdisc(QDISC), (7, 6, 5))
    assert (seen.to_bytes, seen.to_packets, seen.to_overflows, seen.to_lost) == (1514, 1, 2, 3)
    assert (seen.from_bytes, seen.from_packets, seen.from_overflows, seen.from_lost) == (7, 6, 5, 0)
    assert (seen.from_group_packets, seen.from_group_bytes) == (5, 500)


def test_no_root_queue_counts_nothing() -> None:
    assert parse_qdisc(b"[]") == (0, 0, 0)


def test_a_difference_is_taken_field_by_field() -> None:
    earlier = path_counters("c1", {}, (10, 1, 0), (20, 2, 0))
    later = path_counters("c1", {"lost_to_c1": (4, 400)}, (110, 3, 0), (20, 2, 1))
    added = later.since(earlier)
    assert (added.to_bytes, added.to_packets, added.to_lost, added.from_bytes, added.from_overflows) == (
        100,
        2,
        4,
        0,
        1,
    )
