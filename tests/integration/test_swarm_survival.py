"""A swarm of programs survives what happens in a room: the repository, peers, cables and clients that go away."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.lab import shell
from bench.lab.topology import Topology, room
from tests.support.rooms import CHUNK_BYTES, Client, Room, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 60e6
IMAGE_BYTES = 40 << 20
CHUNKS = IMAGE_BYTES // CHUNK_BYTES
LONG_S = 120.0


def _room(clients: int, *, subnets: int = 1, rate: float = RATE) -> Topology:
    return dataclasses.replace(room(clients, rate_bits_per_s=rate, subnets=subnets), segmentation=True, gro=False)


def _start(lab: Room, *hosts: str) -> list[Client]:
    return [lab.client(host, method="TORRENT-DIRECT") for host in hosts]


def _from_peers(done: dict[str, Any]) -> int:
    return sum(count for source, count in done["bytes_by_source"].items() if source.startswith("peer "))


def _from_repository(done: dict[str, Any]) -> int:
    return int(done["bytes_by_source"].get("repository", 0))


def test_without_the_repository_subnets_mend_each_other_and_all_come_back_to_it(tmp_path: Path) -> None:
    with room_of(_room(2, subnets=2, rate=20e6), tmp_path, image_bytes=IMAGE_BYTES) as lab:
        repod = lab.serve()
        (near,) = _start(lab, "c1")
        near.until_chunks(3)  # as many as the other one will be seen to have
        (far,) = _start(lab, "c2")
        far.until_chunks(1)
        repod.kill()
        # What only the other subnet has can come over a bridge now, and over nothing else.
        far.until("swarm-repository", reachable=False)
        far.until_chunks(3)
        again = lab.serve()
        dones = [client.done(LONG_S) for client in (near, far)]
        lab.check("c1", "c2")
        assert _from_peers(dones[1]) > 0
        assert sum(map(_from_repository, dones)) <= 2.2 * len(lab.content)
        assert all(done["bad_chunks"] == 0 for done in dones)
        again.stop()


def test_each_subnet_takes_about_one_copy_and_the_operator_sees_it(tmp_path: Path) -> None:
    with room_of(_room(4, subnets=2), tmp_path, image_bytes=IMAGE_BYTES) as lab:
        repod = lab.serve()
        names = ["c1", "c2", "c3", "c4"]
        dones = [client.done(LONG_S) for client in _start(lab, *names)]
        lab.check(*names)
        copies = lab.metrics("ogcast_transport_subnet_copies")
        assert {labels["subnet"] for labels, _ in copies} == {"10.77.0.0/24", "10.77.1.0/24"}
        assert all(1.0 <= value <= 1.5 for _, value in copies), copies  # four clients would be two
        took = lab.metrics("ogcast_transport_subnet_bytes_total")
        assert sum(value for labels, value in took if labels["source"] == "other") == 0
        assert sum(value for _, value in took) == 4 * len(lab.content)
        assert sum(map(_from_repository, dones)) == sum(value for labels, value in took if labels["source"] == "origin")
        repod.stop()


def test_when_half_the_peers_die_the_others_end_with_one_copy_each(tmp_path: Path) -> None:
    with room_of(_room(6), tmp_path, image_bytes=IMAGE_BYTES) as lab:
        repod = lab.serve()
        clients = dict(zip(names := [f"c{number}" for number in range(1, 7)], _start(lab, *names), strict=True))
        clients["c1"].until_chunks(3)
        for name in ("c2", "c4", "c6"):
            clients[name].kill()
        dones = [clients[name].done(LONG_S) for name in ("c1", "c3", "c5")]
        lab.check("c1", "c3", "c5")
        assert all(done["chunks_fetched"] == CHUNKS for done in dones)
        assert all(_from_peers(done) > 0 for done in dones)
        repod.stop()


def test_a_subnet_that_was_cut_off_goes_on_by_itself_and_joins_again(tmp_path: Path) -> None:
    with room_of(_room(4, subnets=2), tmp_path, image_bytes=IMAGE_BYTES) as lab:
        repod = lab.serve()
        clients = dict(zip(names := ["c1", "c2", "c3", "c4"], _start(lab, *names), strict=True))
        clients["c2"].until_chunks(2)
        lab.rig.set_subnet(1, up=False)
        for name in ("c2", "c4"):
            clients[name].until("swarm-repository", seconds=LONG_S, reachable=False)
        for name in ("c1", "c3"):
            clients[name].done(LONG_S)
        lab.rig.set_subnet(1, up=True)
        for name in ("c2", "c4"):
            assert clients[name].done(LONG_S)["bad_chunks"] == 0
        lab.check(*names)
        repod.stop()


def test_a_client_that_was_killed_takes_only_what_it_lacks_when_it_starts_again(tmp_path: Path) -> None:
    with room_of(_room(2), tmp_path, image_bytes=IMAGE_BYTES) as lab:
        repod = lab.serve()
        one, two = _start(lab, "c1", "c2")
        one.until_chunks(5)
        one.kill()
        (again,) = _start(lab, "c1")
        done = again.done(LONG_S)
        two.done(LONG_S)
        lab.check("c1", "c2")
        assert done["chunks_fetched"] < CHUNKS
        assert done["chunks_fetched"] > 0
        repod.stop()
