"""Strangers make room, the oldest first, and nobody else does."""

from __future__ import annotations

from core.callers import STRANGER_S, Callers


def test_the_oldest_stranger_goes_first_and_who_has_just_come_stays() -> None:
    callers: Callers[str] = Callers()
    callers.handle_connected("a", now=0.0)
    callers.handle_connected("b", now=0.5)
    assert callers.poll_displaced(now=STRANGER_S - 0.1) is None
    assert callers.poll_displaced(now=STRANGER_S) == "a"
    assert callers.poll_displaced(now=STRANGER_S) is None, "b came later"
    assert callers.poll_displaced(now=0.5 + STRANGER_S) == "b"
    assert len(callers) == 0


def test_who_has_shown_something_is_never_hung_up_on() -> None:
    callers: Callers[str] = Callers()
    for name in ("a", "b", "c"):
        callers.handle_connected(name, now=0.0)
    callers.handle_known("a")
    callers.handle_known("a")
    assert [callers.poll_displaced(now=99.0) for _ in range(3)] == ["b", "c", None]


def test_who_is_gone_is_forgotten() -> None:
    callers: Callers[str] = Callers()
    for name in ("a", "b", "c"):
        callers.handle_connected(name, now=0.0)
    callers.handle_gone(lambda name: name != "b")
    assert [callers.poll_displaced(now=99.0) for _ in range(2)] == ["b", None]
