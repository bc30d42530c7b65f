"""What lasts is asked for, again and again, a few at a time."""

from __future__ import annotations

from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.needs import NEED_CHUNKS, Needs


def test_only_what_is_lacking_for_long_is_named() -> None:
    needs = Needs()
    needs.handle_lacking([1, 2], 0.0)
    assert needs.poll() == []
    needs.handle_lacking([2, 3], NEED_AFTER_S)
    assert needs.poll() == [2]
    assert needs.poll() == []
    needs.handle_lacking(range(100), 10.0)
    needs.handle_lacking(range(100), 20.0)
    assert needs.poll() == list(range(NEED_CHUNKS))
