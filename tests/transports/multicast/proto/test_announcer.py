from __future__ import annotations

from transports.multicast.proto.announcer import IDLE_LAST_S, PROBES, STATUS_S, Announcer


def spoken(announcer: Announcer, start: float, stop: float) -> list[float]:
    times, now = [], start
    while now < stop:
        if announcer.poll_status(now):
            times.append(round(now, 3))
        now = max(now + 1e-6, announcer.next_at(status=True))
    return times


def test_while_there_is_work_status_is_said_ten_times_a_second() -> None:
    assert len(spoken(Announcer(0.0), 0.0, 0.95)) == round(1 / STATUS_S)


def test_rest_is_said_at_once_then_ever_more_rarely() -> None:
    announcer = Announcer(0.0)
    announcer.poll_status(0.0)
    announcer.handle_state(idle=True, now=0.05)
    announcer.handle_state(idle=True, now=0.051)
    assert spoken(announcer, 0.05, 3.0)[:6] == [0.05, 0.054, 0.062, 0.078, 0.11, 0.174]
    assert announcer.next_at(status=True) <= 3.0 + IDLE_LAST_S


def test_work_again_ends_the_rest() -> None:
    announcer = Announcer(0.0)
    announcer.handle_state(idle=True, now=1.0)
    announcer.handle_state(idle=False, now=2.0)
    assert announcer.next_at(status=True) == 2.0 + STATUS_S


def test_something_urgent_is_said_now() -> None:
    announcer = Announcer(0.0)
    announcer.poll_status(0.0)
    announcer.handle_urgent(0.01)
    assert announcer.poll_status(0.01)


def test_a_crowd_shares_its_probes() -> None:
    announcer, sent, now = Announcer(0.0), [], 0.0
    assert announcer.next_at(status=False) == float("inf")
    announcer.handle_joined(0.0)
    while now < 2.0:
        if abs(now - 0.2) < 1e-9:
            announcer.handle_joined(now)
        if (probe := announcer.poll_probe(now)) is not None:
            sent.append(probe)
        now = round(now + 0.01, 2)
    assert PROBES < len(sent) < 2 * PROBES
    assert [number for number, _ in sent] == list(range(1, len(sent) + 1))
    assert sent[-1][1] == 0


def test_who_joins_while_probes_are_sent_prolongs_their_row_and_hastens_none() -> None:
    announcer = Announcer(0.0)
    announcer.handle_joined(0.0)
    assert announcer.poll_probe(0.0) == (1, PROBES - 1)
    announcer.handle_joined(0.01)
    assert announcer.poll_probe(0.01) is None
    assert announcer.poll_probe(0.03) == (2, PROBES - 1)


def test_every_rest_begins_with_short_pauses() -> None:
    announcer = Announcer(0.0)
    announcer.handle_state(idle=True, now=0.0)
    spoken(announcer, 0.0, 3.0)
    announcer.handle_state(idle=False, now=3.0)
    announcer.handle_state(idle=True, now=3.01)
    assert spoken(announcer, 3.01, 4.0)[:3] == [3.01, 3.014, 3.022]
