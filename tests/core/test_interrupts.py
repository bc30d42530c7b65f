"""A signal that comes in a held block takes effect at its end, as it would have without."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from core.interrupts import held_interrupts


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As in a terminal, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    reached: list[str] = []

    def work() -> None:
        with held_interrupts():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")
        reached.append("beyond")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["the end"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_handler_is_back_and_told_once(number: int) -> None:
    told: list[int] = []
    before = signal.signal(number, lambda number, frame: told.append(number))
    try:
        with held_interrupts():
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert told == []
        assert told == [number]
        signal.raise_signal(number)
        assert told == [number, number]
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_error_of_the_block_is_not_lost_where_nothing_came() -> None:
    def work() -> None:
        with held_interrupts():
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()


def test_another_thread_holds_nothing() -> None:
    seen: list[object] = []

    def work() -> None:
        with held_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
