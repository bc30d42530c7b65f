"""Calls reach a machine's thread in order, wake it, and never pile up without bound."""

from __future__ import annotations

import select

import pytest

from core.errors import BusyError
from transports.multicast.mailbox import CALLS_MAX, Mailbox


@pytest.fixture
def mailbox() -> Mailbox[list[int]]:
    return Mailbox()


def ringing(mailbox: Mailbox[list[int]]) -> bool:
    return bool(select.select([mailbox.fileno()], [], [], 0)[0])


def test_calls_run_in_order_with_the_machine_and_the_time(mailbox: Mailbox[list[int]]) -> None:
    machine: list[int] = []
    futures = [mailbox.call(lambda seen, now, n=n: seen.append(n) or now + n) for n in range(3)]  # type: ignore[misc]
    assert ringing(mailbox)
    assert mailbox.run(machine, 10.0) == 3
    assert machine == [0, 1, 2]
    assert [future.result() for future in futures] == [10.0, 11.0, 12.0]
    assert not ringing(mailbox)
    assert mailbox.run(machine, 11.0) == 0
    mailbox.close()


def test_an_error_goes_to_the_caller_and_the_next_call_runs(mailbox: Mailbox[list[int]]) -> None:
    broken = mailbox.call(lambda seen, now: seen[99])
    fine = mailbox.call(lambda seen, now: len(seen))
    mailbox.run([], 0.0)
    assert isinstance(broken.exception(), IndexError)
    assert fine.result() == 0
    mailbox.close()


def test_what_nobody_waits_for_runs_in_its_turn_and_its_faults_are_heard_on_the_machines_thread() -> None:
    faults: list[Exception] = []
    mailbox: Mailbox[list[int]] = Mailbox(on_fault=faults.append)
    machine: list[int] = []
    mailbox.call(lambda seen, now: seen.append(1))
    mailbox.tell(lambda seen, now: seen.append(2))
    mailbox.tell(lambda seen, now: seen[99])
    mailbox.tell(lambda seen, now: seen.append(3))
    assert ringing(mailbox)
    assert mailbox.run(machine, 0.0) == 4
    assert machine == [1, 2, 3]
    assert [type(fault) for fault in faults] == [IndexError]
    mailbox.close()


def test_a_fault_that_nobody_hears_is_raised_on_the_machines_thread(mailbox: Mailbox[list[int]]) -> None:
    mailbox.tell(lambda seen, now: seen[99])
    with pytest.raises(IndexError):
        mailbox.run([], 0.0)
    mailbox.close()


def test_what_nobody_waits_for_is_refused_like_any_other() -> None:
    faults: list[Exception] = []
    mailbox: Mailbox[list[int]] = Mailbox(on_fault=faults.append)
    machine: list[int] = []
    for _ in range(CALLS_MAX + 3):
        mailbox.tell(lambda seen, now: seen.append(1))
    assert mailbox.refused == 3
    mailbox.run(machine, 0.0)
    assert len(machine) == CALLS_MAX
    mailbox.tell(lambda seen, now: seen.append(1))
    mailbox.close()
    mailbox.tell(lambda seen, now: seen.append(1))
    assert (len(machine), faults) == (CALLS_MAX, [])


def test_a_cancelled_call_is_not_run(mailbox: Mailbox[list[int]]) -> None:
    machine: list[int] = []
    assert mailbox.call(lambda seen, now: seen.append(1)).cancel()
    mailbox.run(machine, 0.0)
    assert machine == []
    mailbox.close()


def test_a_full_queue_refuses_at_once_and_counts(mailbox: Mailbox[list[int]]) -> None:
    for _ in range(CALLS_MAX):
        mailbox.call(lambda seen, now: None)
    assert isinstance(mailbox.call(lambda seen, now: None).exception(timeout=0), BusyError)
    assert mailbox.refused == 1
    mailbox.close()


def test_after_closing_what_waits_and_what_comes_is_refused(mailbox: Mailbox[list[int]]) -> None:
    waiting = mailbox.call(lambda seen, now: None)
    mailbox.close()
    mailbox.close()
    mailbox.wake()
    assert isinstance(waiting.exception(timeout=0), BusyError)
    assert isinstance(mailbox.call(lambda seen, now: None).exception(timeout=0), BusyError)


def test_waking_needs_no_call(mailbox: Mailbox[list[int]]) -> None:
    mailbox.wake()
    assert ringing(mailbox)
    assert mailbox.run([], 0.0) == 0
    assert not ringing(mailbox)
    mailbox.close()
