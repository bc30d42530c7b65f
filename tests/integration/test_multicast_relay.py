"""A relay whose main repository comes and goes, and that is killed itself: real programs in two subnets."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.topology import Link, room
from tests.support.rooms import PORT, Client, Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
SLOW = 40e6
MIB = 1 << 20
IMAGE_BYTES = 32 * MIB
SERVING_S = 180.0


def start(lab: Room, *images: str) -> Client:
    """A relay on the host c4 of the other subnet."""
    words = [*images[1:], "--store", lab.folder / "relay", "--serve-interface", "eth0", "--refresh", "1"]
    return lab.client("c4", *words, command="relay", target="", method="UNICAST-CACHE", image=images[0])


def near(lab: Room, serving: Client, image: str = "img", host: str = "c2") -> Client:
    """A client of the relay, beside it."""
    lab.use(Path(serving.until("relay", seconds=SERVING_S)["client_settings"]))
    return lab.client(host, image=image, repo=f"https://{lab.rig.topology.address('c4')}:{PORT}")


def test_a_relay_outlives_its_main_repository_and_is_outlived_by_its_store(tmp_path: Path) -> None:
    topology = room(6, rate_bits_per_s=RATE, subnets=2)  # c2, c4 and c6 are in the other subnet
    with room_of(topology, tmp_path, image_bytes=IMAGE_BYTES, rate_mbit_per_s=60) as lab:
        other = random.Random(2).randbytes(IMAGE_BYTES)
        (tmp_path / "other.raw").write_bytes(other)
        lab.repod_command("import", lab.repository, tmp_path / "other.raw", "--name", "other")
        repod = lab.serve()

        lab.rig.set_link("c4", Link(rate_bits_per_s=SLOW))
        relay = start(lab, "img", "other")
        relay.until_chunks(2)
        repod.kill()  # while it is asked for the first image
        repod = lab.serve()
        relay.until("relay", seconds=SERVING_S)
        lab.rig.set_link("c4", Link(rate_bits_per_s=RATE))

        clients = [near(lab, relay), near(lab, relay, "other", "c6")]
        for client in clients:
            client.until("progress")
        repod.kill()  # and this time for good
        for client in clients:
            came_by_group(client.done())
        lab.check("c2")
        assert lab.target("c6").read_bytes() == other
        # Which of the two is looked at first after that depends on when it went.
        told = relay.until("warning", seconds=SERVING_S)["message"]
        assert told.startswith(("img was not brought up to date", "other was not brought up to date"))

        relay.kill()  # what it started ends with it
        again = start(lab, "img", "other")
        lab.target("c2").unlink()
        came_by_group(near(lab, again).done())
        lab.check("c2")
        assert any("img is served as it is here" in each["message"] for each in again.named("warning"))
        again.process.terminate()
        assert again.failed()["code"] == 143
