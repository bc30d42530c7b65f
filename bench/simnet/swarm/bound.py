"""What no swarm can be faster than: the fluid bound, with the links between subnets in it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fluid_bound_s"]


def fluid_bound_s(
    image_bytes: float,
    *,
    origin_bytes_per_s: float,
    up: Sequence[float],
    down: Sequence[float],
    subnet_link_bytes_per_s: float = 0.0,
    joined_at: Sequence[float] = (),
) -> float:
    """Kumar and Ross (2006): the origin sends everything once, everybody receives everything, and all that is received
    is sent by somebody. `up` and `down` are the peers' rates; a subnet's link, if it has one, carries one copy.
    `joined_at`: when each peer came, in seconds, in the order of `down`; nobody is done before its own link has carried
    the image since then. Not given: all were there from the beginning."""
    times = [
        image_bytes / origin_bytes_per_s,
        image_bytes / min(down),
        len(down) * image_bytes / (origin_bytes_per_s + sum(up)),
    ]
    if subnet_link_bytes_per_s:
        times.append(image_bytes / subnet_link_bytes_per_s)
    times += [at + image_bytes / rate for at, rate in zip(joined_at, down, strict=bool(joined_at))]
    return max(times)
