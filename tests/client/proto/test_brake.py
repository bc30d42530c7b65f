from __future__ import annotations

from client.proto.brake import Brake, BrakeMeter


def test_with_nothing_queued_everything_waits_for_the_network() -> None:
    meter = BrakeMeter(now=0, workers=2, write_backlog=6)
    meter.handle_load(5, decoding=2, writing=1)
    assert meter.poll_brake(10) is Brake.NETWORK
    assert meter.shares(10) == {"network": 1.0, "cache": 0.0, "decode": 0.0, "disk": 0.0}


def test_a_queue_before_the_decoder_or_the_disk_names_it() -> None:
    meter = BrakeMeter(now=0, workers=2, write_backlog=6)
    meter.handle_load(0, decoding=3, writing=0)
    assert meter.poll_brake(1) is Brake.DECODE
    meter.handle_load(1, decoding=9, writing=6)
    assert meter.poll_brake(4) is Brake.DISK
    assert meter.shares(4) == {"network": 0.0, "cache": 0.0, "decode": 0.25, "disk": 0.75}


def test_what_waits_to_be_written_when_everything_has_come_waits_for_the_disk() -> None:
    meter = BrakeMeter(now=0, workers=2, write_backlog=6)
    meter.handle_load(1, decoding=0, writing=1)
    meter.handle_load(1, decoding=0, writing=1, complete=True)
    assert meter.poll_brake(31) is Brake.DISK
    meter.handle_load(31, decoding=0, writing=0, complete=True)
    assert meter.shares(31) == {"network": 0.032, "cache": 0.0, "decode": 0.0, "disk": 0.968}


def test_each_poll_looks_at_the_time_since_the_last_one() -> None:
    meter = BrakeMeter(now=0, workers=1, write_backlog=1)
    meter.handle_load(0, decoding=0, writing=1)
    assert meter.poll_brake(100) is Brake.DISK
    meter.handle_load(100, decoding=0, writing=0)
    assert meter.poll_brake(101) is Brake.NETWORK


def test_before_any_time_passed_there_are_no_shares() -> None:
    assert set(BrakeMeter(now=7, workers=1, write_backlog=0).shares(7).values()) == {0.0}


def test_what_is_waited_for_has_the_name_of_the_source_in_use() -> None:
    meter = BrakeMeter(now=0, workers=2, write_backlog=6)
    meter.handle_source(0, Brake.CACHE)
    assert meter.poll_brake(1) is Brake.CACHE
    meter.handle_load(1, decoding=3, writing=0)
    meter.handle_load(2, decoding=0, writing=0)
    meter.handle_source(3, Brake.NETWORK)
    assert meter.shares(4) == {"network": 0.25, "cache": 0.5, "decode": 0.25, "disk": 0.0}
