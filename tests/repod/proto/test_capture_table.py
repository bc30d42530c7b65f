"""Captures: one at a time per name, given back after a break, freed after silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BusyError, LockedError, NotFoundError
from core.ids import SessionId
from repod.proto.capture_table import CaptureOwner, CapturePhase, CaptureTable

HOLD_S = 60.0
PC1 = CaptureOwner(host="pc1", address="10.0.0.1", token="t")
PC2 = CaptureOwner(host="pc2", address="10.0.0.2", token="t")
A, B, C = SessionId("a"), SessionId("b"), SessionId("c")


def table(limit: int = 4) -> CaptureTable:
    return CaptureTable(limit=limit, hold_s=HOLD_S, settle_s=5.0)


def test_a_second_capture_of_a_name_is_locked_out_and_told_by_whom() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    with pytest.raises(LockedError, match=r"pc1 \(10\.0\.0\.1\) has been capturing win for 12 s"):
        captures.handle_open(B, "win", PC2, now=12.0)
    captures.handle_open(B, "linux", PC2, now=12.0)


def test_the_same_client_twice_at_once_is_locked_out_too() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    with pytest.raises(LockedError):
        captures.handle_open(B, "win", PC1, now=0.1)
    captures.handle_lane(A, opened=True, now=1.0)
    with pytest.raises(LockedError):
        captures.handle_open(B, "win", PC1, now=100.0)


def test_a_grant_whose_answer_got_lost_can_be_asked_for_again() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    assert captures.handle_open(B, "win", PC1, now=5.0).id == A


def test_a_broken_capture_goes_back_to_its_owner_only() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    captures.handle_lane(A, opened=True, now=1.0)
    captures.handle_lane(A, opened=False, now=30.0)
    with pytest.raises(LockedError):
        captures.handle_open(B, "win", PC2, now=31.0)
    assert captures.handle_open(B, "win", PC1, now=31.0).id == A


def test_a_broken_capture_expires_after_its_hold_and_not_before() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    captures.handle_lane(A, opened=True, now=1.0)
    assert captures.poll_expired(now=1000.0) == []
    captures.handle_lane(A, opened=False, now=1000.0)
    assert captures.poll_expired(now=1059.0) == []
    assert captures.poll_expired(now=1060.0) == [A]
    captures.handle_release(A)
    captures.handle_open(B, "win", PC2, now=1060.0)


def test_publishing_frees_the_name_and_can_be_asked_for_again() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    assert captures.handle_commit(A, now=1.0)
    with pytest.raises(LockedError):
        captures.handle_commit(A, now=2.0)
    with pytest.raises(LockedError):
        captures.handle_release(A)
    assert captures.poll_expired(now=1000.0) == []
    captures.handle_committed(A, now=3.0)
    assert not captures.handle_commit(A, now=4.0)
    captures.handle_open(B, "win", PC2, now=4.0)
    assert captures.poll_expired(now=63.0) == [A]
    captures.handle_release(A)
    assert captures.get(B).name == "win"
    with pytest.raises(LockedError):
        captures.handle_open(C, "win", PC1, now=64.0)


def test_a_failed_commit_leaves_the_capture_as_it_was() -> None:
    captures = table()
    captures.handle_open(A, "win", PC1, now=0.0)
    captures.handle_lane(A, opened=True, now=0.0)
    captures.handle_commit(A, now=1.0)
    captures.handle_commit_failed(A, now=2.0)
    assert captures.get(A).phase is CapturePhase.OPEN
    assert captures.handle_commit(A, now=3.0)


def test_the_limit_refuses_and_counts() -> None:
    captures = table(limit=1)
    captures.handle_open(A, "one", PC1, now=0.0)
    with pytest.raises(BusyError):
        captures.handle_open(B, "two", PC1, now=0.0)
    assert captures.refused == 1


def test_results_kept_for_late_repeats_are_bounded() -> None:
    captures = table(limit=2)
    for number in range(20):
        capture_id = SessionId(f"c{number}")
        captures.handle_open(capture_id, f"n{number}", PC1, now=0.0)
        captures.handle_commit(capture_id, now=0.0)
        captures.handle_committed(capture_id, now=0.0)
    assert len(list(captures)) == 2


def test_unknown_ids_are_harmless_or_not_found() -> None:
    captures = table()
    captures.handle_lane(A, opened=True, now=0.0)
    captures.handle_commit_failed(A, now=0.0)
    assert captures.handle_release(A) is None
    with pytest.raises(NotFoundError):
        captures.handle_commit(A, now=0.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("oudcfxe"), st.sampled_from("ab"), st.sampled_from([PC1, PC2]), st.floats(0, 70)),
        max_size=80,
    )
)
def test_no_name_ever_has_two_holders(steps: list[tuple[str, str, CaptureOwner, float]]) -> None:
    captures = table(limit=2)
    held: dict[str, SessionId] = {}
    now = 0.0
    for number, (what, name, owner, pause) in enumerate(steps):
        now += pause
        try:
            if what == "o":
                capture = captures.handle_open(SessionId(f"{number}"), name, owner, now=now)
                assert held.setdefault(name, capture.id) == capture.id
                continue
            if name not in held:
                continue
            match what:
                case "u" | "d":
                    captures.handle_lane(held[name], opened=what == "u", now=now)
                case "c":
                    captures.handle_commit(held[name], now=now)
                case "f":
                    if captures.get(held[name]).phase is CapturePhase.COMMITTING:
                        captures.handle_committed(held.pop(name), now=now)
                case "x":
                    captures.handle_release(held[name])
                    del held[name]
                case _:
                    for expired in captures.poll_expired(now=now):
                        captures.handle_release(expired)
                        held = {key: value for key, value in held.items() if value != expired}
        except (LockedError, BusyError):
            pass
        assert len(captures) == len(held)
