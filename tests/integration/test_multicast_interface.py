"""The repository's interface changes under a cast: members go on, and take nothing twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.plan import Step
from bench.lab.topology import INTERFACE, room
from tests.support.rooms import Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
AWAY_S = 2.0
NOTICED_S = 30.0


def ip(lab: Room, host: str, *words: str) -> None:
    """A command of `ip` on a host."""
    shell.perform([Step(words=tuple(lab.rig.command(host, ["ip", *words])))])


@pytest.mark.parametrize("version", [4, 6])
def test_an_interface_taken_away_and_made_again_costs_no_restart(tmp_path: Path, version: int) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=64 << 20, rate_mbit_per_s=60, ip=version) as lab:
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            client.until_chunks(4)
        lab.rig.cut_cable("server")
        time.sleep(AWAY_S)
        lab.rig.new_cable("server")
        for client in clients:
            done = client.done()
            assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2")
        deadline = time.monotonic() + NOTICED_S
        while not (ended := repod.events("cast_ended")):
            assert time.monotonic() < deadline, "the cast of the interface that is gone is kept"
            time.sleep(0.1)
        assert "made anew" in ended[0]["reason"]
        repod.stop()


def test_a_repository_that_gets_another_address_is_found_at_it_by_casts_to_come(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20, rate_mbit_per_s=60) as lab:
        repod = lab.serve()
        address = lab.rig.topology.address("server")
        client = lab.client("c1")
        client.until_chunks(4)
        # The old one stays, so that lanes stand; packets leave from the first one there is.
        ip(lab, "server", "addr", "del", f"{address}/24", "dev", INTERFACE)
        ip(lab, "server", "addr", "add", "10.77.0.99/24", "brd", "+", "dev", INTERFACE)
        ip(lab, "server", "addr", "add", f"{address}/32", "dev", INTERFACE)
        done = client.done()
        assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1")
        assert [made["source"] for made in repod.events("cast_made")] == [address, "10.77.0.99"]
        repod.stop()


def test_an_interface_that_goes_down_and_up_is_sent_through_again(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20, rate_mbit_per_s=60) as lab:
        repod = lab.serve()
        client = lab.client("c1")
        client.until_chunks(4)
        ip(lab, "server", "link", "set", INTERFACE, "down")
        time.sleep(AWAY_S)
        ip(lab, "server", "link", "set", INTERFACE, "up")
        # The first may have had the rest by unicast meanwhile, and a cast nobody waits for sends nothing.
        for one in (client, lab.client("c2")):
            done = one.done()
            assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2")
        assert len(repod.events("cast_made")) == 1
        assert repod.events("sending_failed")
        assert repod.events("sending_again")
        repod.stop()


def test_a_client_whose_interface_is_made_again_goes_on(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20, rate_mbit_per_s=60) as lab:
        repod = lab.serve()
        unlucky, other = lab.client("c1"), lab.client("c2")
        for client in (unlucky, other):
            client.until_chunks(4)
        lab.rig.cut_cable("c1")
        time.sleep(AWAY_S)
        lab.rig.new_cable("c1")
        came_by_group(other.done())
        done = unlucky.done()
        assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2")
        repod.stop()
