from __future__ import annotations

from pathlib import Path

import pytest

from core.contention import IDLE_SHARE, WAIT_SHARE, Contention


class Machine:
    """A thread and processors, in files as the kernel writes them; time passes when told."""

    def __init__(self, folder: Path) -> None:
        self.thread, self.stat = folder / "schedstat", folder / "stat"
        self.now = self.waited_s = 0.0
        self.idle = self.ticks = 0
        self.run(0.0)
        self.contention = Contention(thread=self.thread, machine=self.stat, clock=lambda: self.now)
        assert self.contention.busy  # nothing is known yet

    def run(self, seconds: float, *, waits: float = 0.0, idle: float = 1.0) -> None:
        """Shares of the time that the thread waits, and that two processors have nothing to do."""
        self.now += seconds
        self.waited_s += waits * seconds
        self.idle += round(200 * idle * seconds)
        self.ticks += round(200 * seconds)
        self.thread.write_text(f"5 {int(self.waited_s * 1e9)} 3\n")
        work, half = self.ticks - self.idle, self.idle // 2
        self.stat.write_text(f"cpu  {work} 0 0 {half} {self.idle - half} 0 0 0 0 0\ncpu0 1 2 3\n")


def test_a_thread_that_waits_for_a_processor_is_on_a_busy_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for share, busy in ((0.0, False), (WAIT_SHARE + 0.05, True), (WAIT_SHARE - 0.05, False)):
        machine.run(1.0, waits=share)
        assert machine.contention.busy == busy


def test_a_machine_without_idle_processors_is_busy_though_the_thread_does_not_wait(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for share, busy in ((1.0, False), (IDLE_SHARE - 0.05, True), (IDLE_SHARE + 0.05, False)):
        machine.run(1.0, idle=share)
        assert machine.contention.busy == busy


def test_it_is_judged_over_half_a_second_at_least(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.run(0.4)
    assert machine.contention.busy
    machine.run(0.1)
    assert not machine.contention.busy


def test_until_something_is_known_it_is_what_it_is_taken_for(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    calm = Contention(at_first=False, thread=machine.thread, machine=machine.stat, clock=lambda: machine.now)
    assert not calm.busy
    machine.run(0.4, idle=0.0)
    assert not calm.busy
    machine.run(0.1, idle=0.0)
    assert calm.busy


@pytest.mark.parametrize("text", [None, "", "nonsense\n", "cpu x y\n"])
def test_where_the_kernel_does_not_tell_the_machine_counts_as_idle(tmp_path: Path, text: str | None) -> None:
    machine = Machine(tmp_path)
    for path in (machine.thread, machine.stat):
        path.unlink()
        if text is not None:
            path.write_text(text)
    contention = Contention(thread=machine.thread, machine=machine.stat, clock=lambda: machine.now)
    assert contention.busy
    machine.now += 1.0
    assert not contention.busy


def test_this_kernel_tells() -> None:
    assert len(Path("/proc/thread-self/schedstat").read_text().split()) == 3
    assert len(Path("/proc/stat").read_text().splitlines()[0].split()) > 5
