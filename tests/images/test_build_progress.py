"""Progress of a build."""

from __future__ import annotations

from images.build_progress import BuildTally


def test_a_snapshot_tells_the_rate() -> None:
    tally = BuildTally(started_s=10.0, total=None, done=500)
    assert tally.snapshot(12.0).rate_bytes_per_s == 250.0
    assert tally.snapshot(10.0).rate_bytes_per_s == 0.0
    assert tally.snapshot(12.0).bytes_total is None
