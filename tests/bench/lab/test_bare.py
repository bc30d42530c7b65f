"""What a bare sender sends comes to a bare receiver, which says how much and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.lab.bare import CHUNK_BYTES, GO, PACKET_BYTES, READY
from bench.site import ROOT

ADDRESS = "127.0.0.1"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="a socket's buffer that holds all of it needs root"),
]
PACKETS = 6000  # two chunks of 4 MiB, and a little


def start(*words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.lab.bare", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == READY
    return process


def race(send: Sequence[str], receive: Sequence[str]) -> None:
    with start("receive", ADDRESS, *receive) as receiver, start("send", ADDRESS, str(PACKETS), *send) as sender:
        sender.send_signal(GO)
        sent = json.loads(sender.communicate()[0])
        found = json.loads(receiver.communicate()[0])
    assert found["bytes"] == PACKETS * PACKET_BYTES
    assert found["dropped"] == 0
    assert 0 < found["trains"] <= PACKETS
    assert found["last_at"] >= sent["began_at"]
    assert sent["cpu_s"] > 0
    assert found["cpu_s"] > 0


@pytest.mark.parametrize("more", [[], ["digest"]])
def test_what_is_sent_is_counted(more: list[str]) -> None:
    race([], more)


def test_chunks_of_a_file_are_written(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"\x5a" * CHUNK_BYTES)
    target.write_bytes(bytes(CHUNK_BYTES))  # the second chunk lies where the first did
    race([str(source), "4"], [str(target), "4"])
    assert target.read_bytes()[: CHUNK_BYTES // 2] == source.read_bytes()[: CHUNK_BYTES // 2]
    assert target.stat().st_size == CHUNK_BYTES


def test_an_order_it_does_not_know() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bench.lab.bare", "send"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "send GROUP PACKETS" in ended.stderr
