"""Several transports for one session, between programs: what is late, lossy or slow beside a group, and AUTO."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bench.lab import shell
from bench.lab.topology import Link, room
from tests.support.rooms import IDLE, Client, came_by_group, room_of
from transports.p2p.origin import OFFSET
from transports.p2p.settings import DEFAULT_PORT as MEMBER_PORT
from transports.unicast.settings import UnicastSettings

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
MIB = 1 << 20
DUPLICATES_MAX = 0.02
ORIGIN_PORT, LANE_PORT = MEMBER_PORT + OFFSET, UnicastSettings().port
CHUNK_BYTES = 4 * MIB
"""One chunk that crosses its cancel is more than the share above of an image this small."""


def _frugal(done: dict[str, Any]) -> None:
    """Everything came, and next to nothing twice."""
    assert done["bad_chunks"] == 0
    assert done["chunks_fetched"] == done["chunks"]
    assert done["duplicate_bytes"] <= max(CHUNK_BYTES, DUPLICATES_MAX * done["image_bytes"])


def _from_peers(done: dict[str, Any]) -> int:
    return sum(count for source, count in done["bytes_by_source"].items() if source.startswith("peer "))


def _until_chunks(client: Client, chunks: int) -> None:
    deadline = time.monotonic() + 60
    while not (told := client.named("progress")) or told[-1]["chunks_done"] < chunks:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_late_lossy_and_slow_clients_beside_a_group_get_everything_once(tmp_path: Path) -> None:
    topology = room(5, rate_bits_per_s=RATE)
    topology = topology.with_link("c3", Link(rate_bits_per_s=RATE, loss=0.10))
    topology = topology.with_link("c4", Link(rate_bits_per_s=RATE / 4))
    with room_of(topology, tmp_path, image_bytes=96 * MIB, rate_mbit_per_s=100, adaptive=False) as lab:
        repod = lab.serve()
        members = [lab.client(host, before=IDLE) for host in ("c1", "c2")]
        lossy, slow = lab.client("c3", before=IDLE), lab.client("c4", before=IDLE)
        _until_chunks(members[0], 10)
        late = lab.client("c5", before=IDLE)
        for client in members:
            done = client.done()
            _frugal(done)
            came_by_group(done)
        for client in (lossy, slow, late):
            _frugal(client.done(120))
        left = slow.until("transport-resting")
        assert left["transport"] == "multicast"
        # Each of the three may have it all otherwise: the group repairs the lossy one, and begins again for the late
        # one, and who is complete leaves here. test_multicast_room.py has a late client that peers have to serve.
        assert sum(_from_peers(client.named("done")[0]) for client in (lossy, slow, late)) > 0
        assert late.named("done")[0]["bytes_by_source"]["multicast"] > 0
        lab.check("c1", "c2", "c3", "c4", "c5")
        repod.stop()


def test_auto_begins_alone_and_joins_a_group_when_others_come(tmp_path: Path) -> None:
    with room_of(room(3, rate_bits_per_s=RATE), tmp_path, image_bytes=192 * MIB, rate_mbit_per_s=150) as lab:
        repod = lab.serve()
        first = lab.client("c1", method="AUTO-DIRECT")
        assert "no other client" in first.until("picked", transport="unicast")["message"]
        _until_chunks(first, 4)
        others = [lab.client(host, method="AUTO-DIRECT") for host in ("c2", "c3")]
        assert "client" in first.until("picked", transport="multicast")["message"]
        first.until("transport", transport="multicast", before="unicast")
        for client in (first, *others):
            done = client.done()
            _frugal(done)
            assert done["bytes_by_source"]["multicast"] > 0
        assert first.named("done")[0]["bytes_by_source"]["repository"] > 0
        live = {"multicast": "main", "unicast": "leaves"}.items()
        assert any(live <= event["lanes"].items() for event in first.named("lanes"))
        assert {event["transport"] for event in repod.events("session_picked")} >= {"multicast"}
        lab.check("c1", "c2", "c3")
        repod.stop()


def test_auto_takes_peers_where_groups_are_blocked(tmp_path: Path) -> None:
    with room_of(room(3, rate_bits_per_s=RATE), tmp_path, image_bytes=96 * MIB) as lab:
        repod = lab.serve()
        for host in ("c1", "c2", "c3"):
            lab.rig.block_multicast(host)
        clients = [lab.client(host, method="AUTO-DIRECT") for host in ("c1", "c2", "c3")]
        for client in clients:
            _frugal(client.done())
        assert any(_from_peers(client.named("done")[0]) for client in clients)
        lab.check("c1", "c2", "c3")
        repod.stop()


def test_a_blocked_lane_is_done_without_or_named_when_nothing_else_may_be_taken(tmp_path: Path) -> None:
    with room_of(room(3, rate_bits_per_s=RATE), tmp_path, image_bytes=16 * MIB) as lab:
        repod = lab.serve()
        ports = {"c1": ORIGIN_PORT, "c2": LANE_PORT, "c3": MEMBER_PORT}
        for host, port in ports.items():
            table = "table inet wall"
            chain = "chain out { type filter hook output priority 0; }"
            rule = f"add rule inet wall out tcp dport {port} drop"
            script = f"{table}\n{table} {{\n{chain}\n}}\n{rule}\n"
            subprocess.run(lab.rig.command(host, ["nft", "-f", "-"]), input=script, text=True, check=True)
        peers = lab.client("c1", method="TORRENT-DIRECT")
        lanes = lab.client("c2", "--no-fallback", method="UNICAST-DIRECT")
        members = lab.client("c3", "--no-fallback", method="TORRENT-DIRECT")
        assert str(ORIGIN_PORT) in peers.until("transport-resting", transport="p2p")["message"]
        assert peers.done(60)["bytes_by_source"] == {"repository": 16 * MIB}
        for client, port in ((lanes, LANE_PORT), (members, MEMBER_PORT)):
            assert client.process.wait(120) == 53
            error = client.failed()
            assert f"port {port}" in error["message"]
            assert "--no-fallback" in error["hint"]
        lab.check("c1")
        repod.stop()


def test_auto_has_no_option_string(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        error = lab.client("c1", "--options", "9000:full-duplex:239.194.17.36:70M:50:60", method="AUTO-DIRECT").failed()
        assert error["code"] == 1
        assert "AUTO" in error["message"]
        repod.stop()
