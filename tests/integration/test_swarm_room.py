"""P2P between programs: clients take each chunk once from the repository and the rest from each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.topology import room
from tests.support.rooms import room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

ROOM = dataclasses.replace(room(3, rate_bits_per_s=200e6), segmentation=True, gro=False)


@pytest.mark.parametrize("method", ["TORRENT-DIRECT", "TORRENT-CACHE"])
def test_a_room_takes_each_chunk_once_from_the_repository(tmp_path: Path, method: str) -> None:
    with room_of(ROOM, tmp_path, image_bytes=48 << 20) as lab:
        repod = lab.serve()
        cache = method.endswith("CACHE")
        command = "deploy" if cache else "restore"
        clients = []
        for host in ("c1", "c2", "c3"):
            words = ["--cache", tmp_path / f"cache-{host}"] if cache else []
            clients.append(lab.client(host, *words, command=command, method=method))
        from_repository = 0
        for client in clients:
            done = client.done()
            figures = done["update"] if cache else done
            assert figures["bad_chunks"] == 0
            assert figures["chunks_fetched"] == figures["chunks"]
            assert any(name.startswith("peer ") for name in figures["bytes_by_source"])
            from_repository += figures["bytes_by_source"].get("repository", 0)
        lab.check("c1", "c2", "c3")
        assert from_repository <= 1.5 * len(lab.content)  # without peers it would be 3
        repod.stop()
