from __future__ import annotations

from transports.multicast.proto.silence import Alarm, Silence


def test_a_second_of_silence_means_joining_again_three_mean_giving_up() -> None:
    silence = Silence(0.0)
    said = [(now, silence.poll(now)) for now in (0.5, 1.0, 1.5, 2.0, 2.9, 3.0, 4.0)]
    assert [(now, alarm) for now, alarm in said if alarm] == [
        (1.0, Alarm.REJOIN),
        (2.0, Alarm.REJOIN),
        (3.0, Alarm.SILENT),
    ]
    assert silence.given_up
    assert silence.due_at() == float("inf")


def test_a_packet_starts_the_count_again() -> None:
    silence = Silence(0.0)
    silence.handle_heard(0.9)
    assert silence.poll(1.5) is None
    assert silence.due_at() == 1.9


def test_what_comes_after_giving_up_is_taken() -> None:
    silence = Silence(0.0)
    silence.poll(3.0)
    silence.handle_heard(3.5)
    assert not silence.given_up
    assert silence.poll(4.5) is Alarm.REJOIN
