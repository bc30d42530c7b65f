from __future__ import annotations

from pathlib import Path

from client.contention import BUSY_SHARE, Contention


class Clock:
    """Time that passes when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_thread_that_waits_for_a_processor_is_on_a_busy_machine(tmp_path: Path) -> None:
    stat, clock = tmp_path / "schedstat", Clock()
    stat.write_text("0 0 0\n")
    contention = Contention(path=stat, clock=clock)
    assert contention.busy  # nothing is known yet
    waited_s = 0.0
    for share, busy in ((0.0, False), (BUSY_SHARE + 0.05, True), (BUSY_SHARE - 0.05, False)):
        clock.now += 1.0
        waited_s += share
        stat.write_text(f"5 {int(waited_s * 1e9)} 3\n")
        assert contention.busy == busy


def test_it_is_judged_over_half_a_second_at_least(tmp_path: Path) -> None:
    stat, clock = tmp_path / "schedstat", Clock()
    stat.write_text("0 0 0\n")
    contention = Contention(path=stat, clock=clock)
    clock.now = 0.4
    assert contention.busy
    clock.now = 0.5
    assert not contention.busy


def test_where_the_kernel_does_not_tell_the_machine_counts_as_idle(tmp_path: Path) -> None:
    for text in (None, "", "nonsense\n"):
        path, clock = tmp_path / "schedstat", Clock()
        if text is not None:
            path.write_text(text)
        contention = Contention(path=path, clock=clock)
        clock.now = 1.0
        assert not contention.busy


def test_this_kernel_tells() -> None:
    assert len(Path("/proc/thread-self/schedstat").read_text().split()) == 3
