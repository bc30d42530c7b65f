"""Hosts that mean harm, in the room and in the cast: nothing wrong is written, and nobody else's place is touched."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.topology import INTERFACE, room
from tests.support.rooms import BUSY, IDLE, PORT, ROOT, Client, Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
CAST_MBIT_PER_S = 60
SLOW_CAST_MBIT_PER_S = 20
"""For who has to begin while a cast goes on, however long programs take to start."""
MIB = 1 << 20
PATIENCE_S = 120.0
STRANGER = "stranger"


@contextmanager
def harm(lab: Room, *words: str | Path) -> Iterator[dict[str, int]]:
    """A program of ours in the stranger's host while the block runs; what it sent is there afterwards."""
    sent: dict[str, int] = {}
    process = lab.rig.start(STRANGER, [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.PIPE)
    lab.processes.append(process)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == b"ready\n"
        yield sent
        process.terminate()
        sent |= json.loads(said.read())
        assert process.wait(PATIENCE_S) == 0


def rogue(lab: Room, kind: str) -> tuple[str | Path, ...]:
    """A member of the cast that does not play by the rules."""
    url = f"https://{lab.rig.topology.address('server')}:{PORT}"
    return "tests.support.rogue", lab.repository / "client.toml", url, INTERFACE, kind


def until_forged(lab: Room, clients: list[Client]) -> None:
    """Wait until the repository's operator sees that each client was sent forgeries."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        sessions = json.loads(lab.ask("/v1/sessions"))["sessions"]
        if sum(one["transports"]["multicast"].get("forged", 0) > 0 for one in sessions) == len(clients):
            return
        assert all(client.process.poll() is None for client in clients), sessions
        assert time.monotonic() < deadline, sessions
        time.sleep(0.2)


def refused(lab: Room) -> float:
    """Reports the repository did not believe."""
    return sum(value for _, value in lab.metrics("ogcast_transport_reports_refused_total"))


def test_a_stranger_who_forges_replays_and_mangles_is_counted_and_nothing_else(tmp_path: Path) -> None:
    topology = room(2, rate_bits_per_s=RATE, loss=0.01, others=(STRANGER,))
    with room_of(topology, tmp_path, image_bytes=48 * MIB, rate_mbit_per_s=CAST_MBIT_PER_S) as lab:
        repod = lab.serve()
        with harm(lab, "bench.lab.injector", INTERFACE, "600") as sent:
            clients = [lab.client("c1"), lab.client("c2")]
            until_forged(lab, clients)
            for client in clients:
                done = client.done()
                came_by_group(done)
                assert (done["bad_chunks"], done["reconnects"]) == (0, 0)
            assert refused(lab) > 0
        assert min(sent[kind] for kind in ("content", "replay", "malformed", "report")) > 0
        lab.check("c1", "c2")
        repod.stop()


def test_a_stranger_who_begins_when_symbols_are_taken_on_trust_spoils_no_chunk(tmp_path: Path) -> None:
    topology = room(2, rate_bits_per_s=RATE, loss=0.02, others=(STRANGER,))
    with room_of(topology, tmp_path, image_bytes=64 * MIB, rate_mbit_per_s=CAST_MBIT_PER_S) as lab:
        repod = lab.serve()
        clients = [lab.client("c1", before=BUSY), lab.client("c2", before=BUSY)]
        for client in clients:
            client.until_chunks(6)
        with harm(lab, "bench.lab.injector", INTERFACE, "600") as sent:
            for client in clients:
                done = client.done()
                came_by_group(done)
                assert done["bad_chunks"] == 0
                (ended,) = client.named("multicast-ended")
                assert min(ended["trusted"], ended["forged"]) > 0
        assert sent["content"] > 0
        lab.check("c1", "c2")
        repod.stop()


def test_a_member_cannot_speak_for_another(tmp_path: Path) -> None:
    topology = room(2, rate_bits_per_s=RATE, loss=0.01, others=(STRANGER,))
    with room_of(topology, tmp_path, image_bytes=32 * MIB, rate_mbit_per_s=CAST_MBIT_PER_S) as lab:
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            client.until_chunks(1)
        with harm(lab, *rogue(lab, "reports")) as sent:
            for client in clients:
                done = client.done()
                came_by_group(done)
                assert (done["bad_chunks"], done["reconnects"]) == (0, 0)
                assert not any("lane unicast" in notice["message"] for notice in client.named("notice"))
            assert refused(lab) > 0
        assert sent["reports"] > 0
        lab.check("c1", "c2")
        came_by_group(lab.client("c1").done())
        repod.stop()


def test_a_member_who_forges_packets_can_only_drive_others_to_other_ways(tmp_path: Path) -> None:
    topology = room(2, rate_bits_per_s=RATE, others=(STRANGER,))
    with room_of(topology, tmp_path, image_bytes=32 * MIB, rate_mbit_per_s=SLOW_CAST_MBIT_PER_S) as lab:
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            client.until_chunks(1)
        with harm(lab, *rogue(lab, "data")) as sent:
            for client in clients:
                done = client.done()
                assert done["chunks_fetched"] == done["chunks"]
        assert sent["data"] > 0
        lab.check("c1", "c2")
        repod.stop()


def test_without_authenticator_the_digest_keeps_forgeries_out(tmp_path: Path) -> None:
    topology = room(2, rate_bits_per_s=RATE, loss=0.02, others=(STRANGER,))
    settings = {"rate_mbit_per_s": CAST_MBIT_PER_S, "authenticator": "off"}
    with room_of(topology, tmp_path, image_bytes=32 * MIB, **settings) as lab:
        repod = lab.serve()
        with harm(lab, "bench.lab.injector", INTERFACE, "600") as sent:
            clients = [lab.client("c1"), lab.client("c2")]
            for client in clients:
                done = client.done()
                assert done["chunks_fetched"] == done["chunks"]
        assert sent["content"] > 0
        lab.check("c1", "c2")
        repod.stop()


def test_who_stands_in_the_way_of_a_client_spoils_some_chunks_and_is_found_out(tmp_path: Path) -> None:
    """Symbols that are changed on their way, in their place, behind their own headers, from a moment on at which the
    client takes symbols on trust, while lost packets keep several chunks waiting."""
    with room_of(
        room(2, rate_bits_per_s=RATE, loss=0.02), tmp_path, image_bytes=64 * MIB, chunk_bytes=MIB, rate_mbit_per_s=100
    ) as lab:
        repod = lab.serve()
        clients = [lab.client("c1", before=BUSY), lab.client("c2", before=BUSY)]
        clients[0].until_chunks(24)
        lab.rig.alter_packets("c1", every=500)
        spoiled, other = [client.done() for client in clients]
        (ended,) = clients[0].named("multicast-ended")
        assert min(ended["trusted"], ended["forged"]) > 0
        assert (spoiled["bad_chunks"] > 0, other["bad_chunks"]) == (True, 0)
        for done in spoiled, other:
            came_by_group(done)
            assert done["reconnects"] == 0
        lab.check("c1", "c2")
        repod.stop()


def test_a_client_that_has_time_is_not_harmed_by_who_stands_in_its_way(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=48 * MIB, rate_mbit_per_s=100) as lab:
        repod = lab.serve()
        clients = [lab.client("c1", before=IDLE), lab.client("c2", before=IDLE)]
        clients[0].until_chunks(5)
        lab.rig.alter_packets("c1", every=500)
        for client in clients:
            done = client.done()
            came_by_group(done)
            assert (done["bad_chunks"], done["reconnects"]) == (0, 0)
        lab.check("c1", "c2")
        repod.stop()
