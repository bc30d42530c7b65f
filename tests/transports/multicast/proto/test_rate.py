from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.limits import TRAIN_PACKETS, TRAINS_DECIDED, TRAINS_TOGETHER
from transports.multicast.proto.members import Members
from transports.multicast.proto.rate import (
    BACKLOG_HIGH,
    BACKLOG_LOW,
    MEMBERS_PER_S,
    REST_S,
    SETTLE_OF_INTERVAL,
    SLACK_S,
    START_STEP_S,
    Pace,
    RateControl,
    RateLimits,
    share_budget,
)
from transports.multicast.proto.reports import Report

CAP = 10e6


def control(*, adaptive: bool = True) -> RateControl:
    return RateControl(RateLimits(cap_bytes_per_s=CAP, adaptive=adaptive), now=0.0)


def feed(rate: RateControl, loss: float, backlog: float = 0.0, *, times: int = 1, start: float = 0.25) -> float:
    """A group that loses the same at any rate."""
    for step in range(times):
        rate.handle_group(loss=loss, backlog=backlog, packets=5000, now=start + 0.25 * step)
    return rate.rate_bytes_per_s


def behind(rate: RateControl, way_bytes_per_s: float, *, loss: float = 0.0, until: float = 20.0) -> list[float]:
    """The rates of a cast whose group is behind a way of that width, which loses `loss` besides."""
    rates, now = [], 0.0
    while now < until:
        now += 0.05
        lost = 1 - (1 - loss) * min(1.0, way_bytes_per_s / rate.rate_bytes_per_s)
        rate.handle_group(loss=lost, backlog=0.0, packets=5000, now=now)
        rates.append(rate.rate_bytes_per_s)
    return rates


def test_the_pace_is_the_rate() -> None:
    pace, now = Pace(1e6, 0.0), 0.0
    for _ in range(100):
        now = pace.ready_at()
        pace.spend(10_000, now)
    assert pace.ready_at() == pytest.approx(1.0)


def test_little_lateness_is_caught_up_much_is_not() -> None:
    pace = Pace(1e6, 0.0)
    pace.spend(1000, 0.005)
    assert pace.ready_at() == pytest.approx(0.001)
    trains, now = 0, 5.0
    while (now := max(now, pace.ready_at())) < 5.2:
        pace.spend(1000, now)
        trains += 1
    assert trains == pytest.approx(200 + 1000 * SLACK_S, abs=1)


def test_a_sender_too_slow_for_its_rate_shows_how_much_of_it_is_unused() -> None:
    pace, now = Pace(1e6, 0.0), 0.0
    for _ in range(200):
        now = max(now, pace.ready_at())
        pace.spend(10_000, now)
    assert pace.unused == 0.0
    for _ in range(200):
        now += 0.02
        pace.spend(10_000, now)
    assert pace.unused == pytest.approx(0.5, abs=0.01)
    for _ in range(400):
        now = max(now, pace.ready_at())
        pace.spend(10_000, now)
    assert pace.unused == 0.0


def test_what_is_said_while_there_is_no_work_does_not_make_a_sender_slow() -> None:
    pace = Pace(1e6, 0.0)
    for now in range(1, 100):
        pace.spend(10_000, now, work=False)
    pace.rest(100.0)
    pace.spend(1_000_000, 100.0)
    assert pace.unused == 0.0


def test_time_in_which_there_was_nothing_to_send_is_not_caught_up() -> None:
    pace = Pace(1e6, 0.0)
    pace.spend(1000, 0.0)
    pace.rest(5.0)
    pace.spend(1000, 5.0)
    assert pace.ready_at() == pytest.approx(5.001)
    pace.rest(5.0)
    assert pace.ready_at() == pytest.approx(5.001), "a debt stays"


def test_a_slow_rate_makes_short_trains() -> None:
    assert Pace(25e6, 0.0).burst_packets(1514) == TRAIN_PACKETS
    assert Pace(1.25e6, 0.0).burst_packets(1514) == 2
    assert Pace(1000, 0.0).burst_packets(1514) == 1


def test_at_high_rates_whole_trains_leave_together_but_never_much_of_the_wires_time() -> None:
    paces = [Pace(rate * 1e6 / 8, 0.0) for rate in (200, 400, 600, 800, 1000, 10_000)]
    together = [pace.pieces(1000, 1514)[0][0] for pace in paces]
    assert together == [TRAIN_PACKETS * trains for trains in (1, 1, 2, 3, 4, TRAINS_TOGETHER)]
    assert Pace(125e6, 0.0).burst_packets(9000) == 41, "of long packets one train is much already"


def test_at_high_rates_twice_as_much_is_decided_and_leaves_in_pieces_at_the_pace() -> None:
    sizes = [Pace(rate * 1e6 / 8, 0.0).burst_packets(1514) for rate in (200, 400, 600, 800, 1000, 10_000)]
    assert sizes == [TRAIN_PACKETS * trains for trains in (1, 1, 4, 6, 8, TRAINS_DECIDED)]
    pace = Pace(125e6, 0.0)
    pace.spend(352 * 1250, 5.0)  # 352 packets of 10 us, which begin where being late is not caught up
    (first, begins), (second, follows) = pace.pieces(352, 1250)
    assert (first, second) == (TRAIN_PACKETS * 4, TRAIN_PACKETS * 4)
    assert begins == pytest.approx(5.0 - SLACK_S)
    assert follows - begins == pytest.approx(first * 10e-6)
    assert pace.ready_at() - follows == pytest.approx(second * 10e-6)
    assert [count for count, _ in pace.pieces(200, 1250)] == [TRAIN_PACKETS * 4, 200 - TRAIN_PACKETS * 4]


def test_a_fixed_rate_follows_nobody() -> None:
    rate = control(adaptive=False)
    assert feed(rate, 0.5, 1.0) == CAP
    assert not rate.due(100.0)


def test_loss_slows_down_and_its_end_speeds_up() -> None:
    rate = control()
    assert feed(rate, 0.02) == pytest.approx(0.85 * CAP)
    assert rate.limited_by == "loss"
    feed(rate, 0.0, times=2, start=0.5)  # the trial helped
    assert feed(rate, 0.003, start=1.0) == pytest.approx(0.85 * CAP)
    assert feed(rate, 0.0, times=10, start=2.0) == CAP
    assert rate.limited_by == "cap"


@pytest.mark.parametrize("way", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_a_way_that_is_too_narrow_is_found_and_kept_to(way: float, loss: float) -> None:
    rates = behind(control(), way * CAP, loss=loss)[-200:]
    assert sum(rates) / len(rates) == pytest.approx(way * CAP, rel=0.25)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_loss_that_no_rate_cures_costs_less_than_half_a_second_of_slower_sending(loss: float) -> None:
    rates = behind(control(), CAP, loss=loss)
    slowed_s = 0.05 * sum(rate < CAP for rate in rates)
    assert 0 < slowed_s < 0.55
    assert rates[-1] == CAP


def test_noise_of_a_lossy_way_is_no_reason_to_try_again() -> None:
    rate, rng = control(), random.Random(1)
    behind(rate, CAP, loss=0.05, until=2.0)
    for step in range(200):
        seen = 0.05 + rng.gauss(0, 0.003)
        assert feed(rate, seen, start=3 + 0.25 * step) == CAP


def test_a_trial_waits_for_enough_packets_but_not_for_ever() -> None:
    rate = control()
    assert feed(rate, 0.02) < CAP
    for step in range(1, 12):
        rate.handle_group(loss=0.02, backlog=0.0, packets=5, now=0.25 + 0.15 * step)
    assert rate.rate_bytes_per_s < CAP
    rate.handle_group(loss=0.02, backlog=0.0, packets=5, now=2.5)
    assert rate.rate_bytes_per_s == CAP


def test_after_a_trial_in_vain_only_far_more_loss_is_tried_at_once() -> None:
    rate = control()
    assert feed(rate, 0.05, times=4) == CAP  # tried, and found to be the wire's
    assert feed(rate, 0.08, start=2.0) == CAP
    assert feed(rate, 0.08, start=1.0 + REST_S + 0.5) < CAP


def test_disks_that_cannot_follow_slow_down_until_they_have_caught_up() -> None:
    rate = control()
    slow = feed(rate, 0.0, BACKLOG_HIGH + 0.1)
    assert slow == pytest.approx(0.85 * CAP)
    assert rate.limited_by == "disk"
    assert feed(rate, 0.0, BACKLOG_LOW + 0.1, start=1.0) == slow
    assert feed(rate, 0.0, BACKLOG_LOW - 0.1, start=2.0) == pytest.approx(CAP)


def test_loss_that_grows_beyond_what_the_way_loses_is_tried_again() -> None:
    rate = control()
    assert feed(rate, 0.02, times=40) == CAP
    assert feed(rate, 0.05, start=20.0) < CAP


def test_never_below_the_floor_nor_above_the_share() -> None:
    rate = RateControl(RateLimits(cap_bytes_per_s=CAP, adaptive=True, floor_bytes_per_s=9e6), now=0.0)
    assert feed(rate, 0.5) == 9e6
    rate.handle_share(4e6)
    assert rate.rate_bytes_per_s == 4e6
    assert rate.limited_by == "share"
    rate.handle_share(1e12)
    assert rate.rate_bytes_per_s == 9e6


def test_a_cast_that_has_only_a_share_is_slowed_from_what_it_sends() -> None:
    rate = control()
    rate.handle_share(CAP / 4)
    assert feed(rate, 0.5) == pytest.approx(CAP / 8)


def test_a_ground_found_while_the_room_was_coming_in_is_not_kept_when_far_more_is_lost() -> None:
    rate = control()
    assert feed(rate, 0.6, times=3) == CAP
    assert feed(rate, 0.9, start=1.5) < CAP / 5


def test_close_to_the_width_of_a_narrow_way_steps_are_small_and_grow_when_all_is_well() -> None:
    rate = control()
    rates = behind(rate, 0.1 * CAP)
    assert max(rates[-200:]) < 0.13 * CAP
    rates = [feed(rate, 0.0, start=30 + 0.25 * step) for step in range(48)]
    assert rates[-1] == CAP


def test_it_looks_four_times_a_second() -> None:
    rate = control()
    feed(rate, 0.02)
    assert feed(rate, 0.02, start=0.3) == pytest.approx(0.85 * CAP)


def test_shares_follow_weights_and_what_one_leaves_goes_to_the_others() -> None:
    assert share_budget(90.0, [100, 100], [1, 2]) == pytest.approx([30, 60])
    assert share_budget(90.0, [10, 100, 100], [1, 1, 1]) == pytest.approx([10, 40, 40])
    assert share_budget(90.0, [10, 20], [1, 1]) == pytest.approx([10, 20])
    assert share_budget(90.0, [], []) == []


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(0.1, 10)), min_size=1, max_size=8), st.floats(1, 1e9))
def test_shares_never_exceed_budget_or_cap(casts: list[tuple[float, float]], total: float) -> None:
    caps = [cap for cap, _ in casts]
    shares = share_budget(total, caps, [weight for _, weight in casts])
    assert sum(shares) <= total * 1.0001
    assert all(share <= cap * 1.0001 for share, cap in zip(shares, caps, strict=True))
    assert sum(shares) >= min(total, sum(caps)) * 0.999


WIDE = 125e6
PACKET_BYTES = 1500


def begun(*, way_bytes_per_s: float, reports_from: float = 0.0, until: float = 3.0) -> list[tuple[float, float]]:
    """(time, rate) of a cast of 1 Gbit/s from its first packet on; its one member reports every 0.1 s."""
    rate, members = RateControl(RateLimits(cap_bytes_per_s=WIDE, adaptive=True), now=0.0), Members()
    member = members.add(1, bytes(32), 0.0)
    now, sent, came, number, told = 0.0, 0.0, 0.0, 0, []
    while now < until:
        now += 0.01
        sent += rate.rate_bytes_per_s * 0.01 / PACKET_BYTES
        came += min(rate.rate_bytes_per_s, way_bytes_per_s) * 0.01 / PACKET_BYTES
        if now >= reports_from and int(now * 100) % 10 == 0:
            number += 1
            report = Report(
                cast_id=1, member=1, number=number, as_of=int(sent), span=int(sent), received=int(came), overflow=0
            )
            member.handle_report(report, now)
        rate.follow(members, int(sent), now)
        told.append((now, rate.rate_bytes_per_s))
    return told


def test_a_cast_begins_with_a_part_of_its_cap_and_has_all_of_it_with_the_first_report() -> None:
    told = begun(way_bytes_per_s=WIDE)
    assert told[0][1] == WIDE / 4
    assert next(now for now, rate in told if rate == WIDE) < 0.2
    assert told[-1][1] == WIDE


@pytest.mark.parametrize("width", [2.5e6, 12e6])
def test_on_a_narrow_way_it_finds_the_width_before_much_was_sent_in_vain(width: float) -> None:
    told = begun(way_bytes_per_s=width)
    at = next(place for place, (_, rate) in enumerate(told) if rate < 1.3 * width)
    assert sum(rate * 0.01 for _, rate in told[:at]) < 12e6
    assert all(0.6 * width < rate < 1.5 * width for _, rate in told[at:])


def test_while_nobody_reports_it_slows_down_but_does_not_stop() -> None:
    told = begun(way_bytes_per_s=2.5e6, reports_from=2.0, until=4.0)
    assert [rate for now, rate in told if now < 2.0][-1] == 6e6
    assert told[-1][1] < 1.5 * 2.5e6
    assert begun(way_bytes_per_s=WIDE, reports_from=2.0)[-1][1] == WIDE


class Crowd:
    """Members of a cast of 1 Gbit/s whose way loses nothing; each reports every 0.1 s from when it `wakes`."""

    def __init__(self) -> None:
        self.rate = RateControl(RateLimits(cap_bytes_per_s=WIDE, adaptive=True), now=0.0)
        self.members = Members()
        self.now = self.sent = 0.0
        self._wakes: dict[int, tuple[float, int]] = {}

    def join(self, *wakes: float) -> None:
        """Others may be there, who have all."""
        for wake in wakes:
            number = len(self._wakes) + 1
            self.members.add(number, bytes(32), self.now, since=int(self.sent))
            self._wakes[number] = (wake, int(self.sent))

    def until(self, end: float) -> float:
        """The rate then."""
        while self.now < end:
            self.now += 0.01
            self.sent += self.rate.rate_bytes_per_s * 0.01 / PACKET_BYTES
            for member in (each for each in self.members if not each.done):
                wake, since = self._wakes[member.id]
                if self.now >= wake and round(self.now * 100) % 10 == 0:
                    number, span = member.number + 1, int(self.sent) - since
                    told = Report(
                        cast_id=1,
                        member=member.id,
                        number=number,
                        as_of=int(self.sent),
                        span=span,
                        received=span,
                        overflow=0,
                    )
                    member.handle_report(told, self.now)
            self.rate.follow(self.members, int(self.sent), self.now)
        return self.rate.rate_bytes_per_s

    def rest(self, until: float) -> None:
        """Everybody is done, and somebody else comes then."""
        for member in self.members:
            member.done = True
        self.now = until
        self.rate.restart(self.members, int(self.sent), self.now)


def test_the_whole_rate_waits_until_three_of_four_members_have_reported() -> None:
    crowd = Crowd()
    crowd.join(0.0, 0.3, 0.6, 9.0)
    assert crowd.until(0.55) == WIDE / 4
    assert crowd.rate.limited_by == "start"
    assert crowd.until(0.75) == WIDE


def test_members_that_stay_silent_are_not_waited_for_longer_than_a_second() -> None:
    crowd = Crowd()
    crowd.join(0.0, 9.0, 9.0, 9.0)
    assert crowd.until(0.9) == WIDE / 4
    assert crowd.until(1.3) == WIDE


def test_the_first_report_ends_what_silence_did_to_the_rate() -> None:
    crowd = Crowd()
    crowd.join(1.5, 9.0, 9.0, 9.0)
    assert crowd.until(1.45) == 6e6
    assert crowd.until(1.6) == WIDE / 4


def test_after_a_rest_it_begins_with_a_part_and_silence_does_not_count() -> None:
    crowd = Crowd()
    crowd.join(0.0, 0.0)
    assert crowd.until(1.0) == WIDE
    crowd.rest(until=5.0)
    crowd.join(7.0, 7.0)
    assert crowd.until(6.95) == WIDE / 4
    assert crowd.until(7.2) == WIDE
    assert crowd.rate.limited_by == "cap"


def test_a_beginning_that_a_rest_cut_short_begins_anew_with_those_who_are_there_then() -> None:
    crowd = Crowd()
    crowd.join(0.0, 9.0, 9.0, 9.0)
    assert crowd.until(0.4) == WIDE / 4
    crowd.rest(until=5.0)
    crowd.join(5.1, 5.3, 5.3, 5.3)
    assert crowd.until(5.25) == WIDE / 4  # neither for want of reports during the rest, nor for one before it
    assert crowd.until(5.5) == WIDE


def test_after_a_rest_it_comes_back_to_the_rate_the_way_bore() -> None:
    crowd = Crowd()
    crowd.join(0.0)
    crowd.until(1.0)
    crowd.rate.handle_group(loss=0.0, backlog=BACKLOG_HIGH + 0.1, packets=5000, now=crowd.now + 1.0)
    before = crowd.rate.rate_bytes_per_s
    assert WIDE / 4 < before < WIDE
    crowd.rest(until=5.0)
    assert crowd.rate.rate_bytes_per_s == WIDE / 4
    crowd.join(5.0)
    while crowd.rate.limited_by == "start":
        crowd.until(crowd.now + 0.01)
    assert (crowd.rate.rate_bytes_per_s, crowd.rate.limited_by) == (before, "disk")


@pytest.mark.parametrize("settled", [False, True])
def test_a_trial_before_a_rest_is_not_judged_by_what_is_lost_after_it(settled: bool) -> None:
    crowd = Crowd()
    crowd.join(0.0)
    crowd.until(1.0)
    for _ in range(1 + settled):
        crowd.now += 1.0
        crowd.rate.handle_group(loss=0.1, backlog=0.0, packets=5000, now=crowd.now)
    before = crowd.rate.rate_bytes_per_s
    assert before < WIDE
    crowd.rest(until=5.05)
    crowd.join(5.05)
    assert crowd.until(5.12) == before  # the first report, which is there at the first look, is enough: nothing settles
    crowd.rate.handle_group(loss=0.1, backlog=0.0, packets=5000, now=crowd.now + 1.0)
    assert crowd.rate.rate_bytes_per_s < before


def test_loss_is_judged_by_enough_packets_since_it_was_last_looked_at() -> None:
    members, rate = Members(), control()
    members.add(1, bytes(32), 0.0, since=0)
    (member,) = members
    for number, (sent, lost) in enumerate([(5000, 0), (5500, 250), (6500, 750)], start=1):
        told = Report(cast_id=1, member=1, number=number, as_of=sent, span=sent, received=sent - lost, overflow=0)
        member.handle_report(told, 0.25 * number)
        rate.follow(members, sent, 0.25 * number)
        assert (rate.rate_bytes_per_s < CAP) == (number == 3)


def test_what_was_slow_before_a_rest_stays_as_it_was() -> None:
    rate = RateControl(RateLimits(cap_bytes_per_s=25e6, adaptive=True), now=0.0)
    rate.restart(Members(), 0, 5.0)
    assert (rate.rate_bytes_per_s, rate.limited_by) == (25e6, "cap")
    fixed = RateControl(RateLimits(cap_bytes_per_s=WIDE), now=0.0)
    fixed.restart(Members(), 0, 5.0)
    assert (fixed.rate_bytes_per_s, fixed.limited_by) == (WIDE, "cap")


def test_caps_of_a_slow_room_are_begun_with() -> None:
    rate = RateControl(RateLimits(cap_bytes_per_s=25e6, adaptive=True), now=0.0)
    assert (rate.rate_bytes_per_s, rate.limited_by) == (25e6, "cap")


def test_what_a_way_lost_for_a_while_is_no_excuse_when_it_is_good_again() -> None:
    rate = control()
    assert feed(rate, 0.02, times=40) == CAP
    assert feed(rate, 0.0, times=20, start=20.0) == CAP
    assert feed(rate, 0.02, start=30.0) < CAP


def test_disks_that_do_not_follow_slow_it_down_however_few_packets_there_were() -> None:
    rate = control()
    rate.handle_group(loss=0.0, backlog=BACKLOG_HIGH + 0.1, packets=10, now=0.25)
    assert rate.rate_bytes_per_s < CAP
    assert rate.limited_by == "disk"


@pytest.mark.parametrize(
    ("count", "after_s"), [(1, START_STEP_S), (round(0.4 * MEMBERS_PER_S), 0.4 * SETTLE_OF_INTERVAL)]
)
def test_after_its_first_step_it_looks_when_reports_tell_of_the_new_rate(count: int, after_s: float) -> None:
    rate, members = RateControl(RateLimits(cap_bytes_per_s=WIDE, adaptive=True), now=0.0), Members()
    for number in range(count):
        first = Report(cast_id=1, member=number, number=1, as_of=1000, span=1000, received=1000, overflow=0)
        members.add(number, bytes(32), 0.0).handle_report(first, 0.1)
    rate.follow(members, 1000, 0.1)
    assert rate.rate_bytes_per_s == WIDE
    assert not rate.due(0.1 + 0.95 * after_s)
    assert rate.due(0.1 + 1.05 * after_s)


def test_once_the_width_of_a_way_is_found_more_is_tried_now_and_then() -> None:
    later = [rate for now, rate in begun(way_bytes_per_s=WIDE / 20, until=6.0) if now > 3.0]
    assert max(later) > min(later)
