"""Sessions: bounded, alive while heard of or connected, gone after silence. Times are seconds of a made-up clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BusyError, NotFoundError
from core.ids import SessionId
from repod.proto.session_table import SessionState, SessionTable, holder_of
from transports.control import SessionReport

IDLE_S = 60.0


def state(name: str, *, now: float = 0.0, address: str = "") -> SessionState:
    return SessionState(
        id=SessionId(name),
        image="a@1",
        method="UNICAST-DIRECT",
        host="",
        address=address,
        opened=now,
        heard=now,
        want=1,
    )


def table(*names: str, limit: int = 10, per_address: int = 10) -> SessionTable:
    made = SessionTable(limit=limit, per_address=per_address, idle_s=IDLE_S)
    for name in names:
        made.handle_open(state(name))
    return made


def running(have: int = 0, phase: str = "transferring") -> SessionReport:
    return SessionReport(state=phase, have=have)


def test_a_silent_session_expires_at_exactly_its_idle_time() -> None:
    sessions = table("a")
    assert sessions.poll_expired(now=59.9) == []
    assert sessions.poll_expired(now=60.0) == ["a"]


def test_a_report_keeps_a_session_alive() -> None:
    sessions = table("a")
    assert not sessions.handle_report(SessionId("a"), running(3), now=50.0)
    assert sessions.poll_expired(now=109.0) == []
    assert sessions.poll_expired(now=110.0) == ["a"]


def test_an_open_lane_keeps_a_session_alive_without_reports() -> None:
    sessions = table("a")
    sessions.handle_lane(SessionId("a"), opened=True, now=1.0)
    sessions.handle_lane(SessionId("a"), opened=True, now=2.0)
    sessions.handle_lane(SessionId("a"), opened=False, now=3.0)
    assert sessions.poll_expired(now=1000.0) == []
    sessions.handle_lane(SessionId("a"), opened=False, now=1000.0)
    assert sessions.poll_expired(now=1059.0) == []
    assert sessions.poll_expired(now=1060.0) == ["a"]


@pytest.mark.parametrize("phase", ["done", "failed"])
def test_the_last_report_says_so(phase: str) -> None:
    assert table("a").handle_report(SessionId("a"), running(phase=phase), now=1.0)


def test_the_limit_refuses_and_counts_and_room_comes_back() -> None:
    sessions = table("a", "b", limit=2)
    with pytest.raises(BusyError):
        sessions.handle_open(state("c"))
    assert sessions.refused == 1
    sessions.handle_close(SessionId("a"))
    sessions.handle_open(state("c"))
    assert len(sessions) == 2


def test_one_address_cannot_take_the_place_of_the_others() -> None:
    sessions = table(limit=4, per_address=2)
    for name in "ab":
        sessions.handle_open(state(name, address="10.0.0.9"))
    with pytest.raises(BusyError, match=r"10\.0\.0\.9") as caught:
        sessions.handle_open(state("c", address="10.0.0.9"))
    assert "limits.sessions_per_address" in str(caught.value.hint)
    assert (sessions.refused, sessions.refused_address) == (0, 1)
    sessions.handle_open(state("d", address="10.0.0.10"))
    assert sessions.handle_close(SessionId("a")) is not None
    assert sessions.handle_close(SessionId("a")) is None
    sessions.handle_open(state("c", address="10.0.0.9"))
    with pytest.raises(BusyError):
        sessions.handle_open(state("e", address="10.0.0.9"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.9", "10.0.0.10", False),
        ("10.0.0.9", "::ffff:10.0.0.9", True),
        ("2001:db8::1", "2001:db8::dead:beef:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "unknown", False),
    ],
)
def test_who_may_choose_its_address_is_counted_by_its_network(one: str, other: str, same: bool) -> None:
    assert (holder_of(one) == holder_of(other)) is same


def test_reports_of_a_session_that_is_gone_say_not_found() -> None:
    sessions = table("a")
    assert sessions.handle_close(SessionId("a")) is not None
    assert sessions.handle_close(SessionId("a")) is None
    with pytest.raises(NotFoundError):
        sessions.handle_report(SessionId("a"), running(), now=1.0)
    sessions.handle_lane(SessionId("a"), opened=True, now=1.0)


@given(st.lists(st.tuples(st.sampled_from("orlce"), st.sampled_from("abcd"), st.floats(0, 100)), max_size=60))
def test_whatever_happens_the_table_stays_bounded_and_only_silence_expires(
    steps: list[tuple[str, str, float]],
) -> None:
    sessions = SessionTable(limit=3, per_address=2, idle_s=IDLE_S)
    now = 0.0
    for what, name, pause in steps:
        now += pause
        session_id = SessionId(name)
        try:
            match what:
                case "o" if all(session.id != name for session in sessions):
                    sessions.handle_open(state(name, now=now, address=name.translate({ord("c"): "a", ord("d"): "a"})))
                case "r":
                    sessions.handle_report(session_id, running(), now=now)
                case "l":
                    sessions.handle_lane(session_id, opened=True, now=now)
                case "c":
                    sessions.handle_lane(session_id, opened=False, now=now)
                case _:
                    for expired in sessions.poll_expired(now=now):
                        session = sessions.get(expired)
                        assert session.lanes == 0
                        assert now - session.heard >= IDLE_S
                        sessions.handle_close(expired)
        except (BusyError, NotFoundError):
            pass
        assert len(sessions) <= 3
        assert sum(session.address == "a" for session in sessions) <= 2
