"""What the operator's graphs show of swarms: totals over all of them, and for each image and subnet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transports.base import Sample
from transports.p2p.swarm import Swarm

__all__ = ["COUNTERS", "SAMPLES_MAX", "samples_of", "totals_of"]

COUNTERS = (
    "accusations_ignored",
    "assignments_expired",
    "assignments_failed",
    "bad_chunks",
    "bytes_origin",
    "bytes_other_subnets",
    "bytes_same_subnet",
    "bytes_sent",
    "chunks_assigned",
    "chunks_needed",
    "chunks_sent",
    "lanes_lossy",
    "limit_events",
    "limit_lanes",
    "limit_max_members",
    "limit_max_swarms",
    "limit_messages",
    "limit_samples",
    "limit_subnet_budget",
    "limit_subnets",
    "member_lanes_opened",
    "member_lanes_refused",
    "peers_banned",
    "peers_discredited",
    "peers_lost",
    "strangers_dropped",
    "swarms_made",
    "ticks_failed",
)
"""There from the start, so that a graph of them begins at zero."""
SAMPLES_MAX = 2000
"""Lines of a scrape about single subnets; further ones are left out, and counted (`limit_samples`)."""


def totals_of(swarm: Swarm) -> dict[str, int]:
    """Running totals of one swarm."""
    traffic = swarm.directory.traffic.values()
    return {
        **swarm.directory.counts,
        "bytes_same_subnet": sum(each.same for each in traffic),
        "bytes_other_subnets": sum(each.other for each in traffic),
        "bytes_origin": sum(each.origin for each in traffic),
    }


def samples_of(swarms: Iterable[Swarm]) -> Iterator[Sample]:
    """By image and subnet, of swarms that exist: all there are, without a bound."""
    for swarm in swarms:
        image = str(swarm.manifest.ref)
        for subnet, traffic in swarm.directory.traffic.items():
            labels = {"image": image, "subnet": subnet}
            if swarm.stored_bytes:
                yield Sample(
                    name="subnet_copies",
                    text="How often the image came into the subnet, from the repository and from other subnets.",
                    labels=labels,
                    value=(traffic.origin + traffic.other) / swarm.stored_bytes,
                    rises=False,
                )
            for source, count in (("origin", traffic.origin), ("other", traffic.other), ("same", traffic.same)):
                yield Sample(
                    name="subnet_bytes",
                    text="Stored bytes that clients of the subnet received, by source: origin, other subnets, same.",
                    labels={**labels, "source": source},
                    value=count,
                    rises=True,
                )
