from __future__ import annotations

from bench.simnet.client import ClientSettings, client_rng
from bench.simnet.path import PathSettings
from bench.simnet.room import Room
from transports.multicast.proto.silence import Alarm

MIB = 1 << 20


def test_a_slow_disk_sets_the_pace_of_its_own_client() -> None:
    room = Room(chunks=8, chunk_bytes=MIB)
    room.join(1, client=ClientSettings(disk_bytes_per_s=4 * MIB, slots=16))
    assert 2.0 <= room.until_done().seconds < 2.3


def test_a_stalled_disk_goes_on_after_the_stall() -> None:
    room = Room(chunks=8, chunk_bytes=MIB)
    room.join(1, client=ClientSettings(disk_bytes_per_s=100 * MIB, disk_stalls=((0.1, 2.0),), slots=16))
    assert 2.0 <= room.until_done().seconds < 2.2


def test_a_deaf_client_raises_alarms() -> None:
    room = Room(chunks=2, chunk_bytes=MIB)
    room.join(1, path=PathSettings(deaf=((0.0, 10.0),)))
    room.until_done(at_most_s=5.0)
    assert [alarm for _, alarm in room.clients[0].alarms] == [Alarm.REJOIN, Alarm.REJOIN, Alarm.SILENT]


def test_every_client_has_a_chance_of_its_own() -> None:
    assert client_rng(1, 2).random() == client_rng(1, 2).random() != client_rng(1, 3).random()
