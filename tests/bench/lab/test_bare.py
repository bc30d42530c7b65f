"""What a bare sender sends comes to a bare receiver, which says how much and when."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.lab.bare import PACKET_BYTES, READY, send
from bench.site import ROOT

ADDRESS = "127.0.0.1"


@pytest.mark.parametrize("more", [[], ["digest"]])
def test_what_is_sent_is_counted(more: list[str]) -> None:
    packets = 3000  # more than the 4 MiB that are digested at a time
    command = [sys.executable, "-m", "bench.lab.bare", "receive", ADDRESS, *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline().strip() == READY
        sent = send(ADDRESS, packets)
        found = json.loads(receiver.communicate()[0])
    assert found["bytes"] == packets * PACKET_BYTES
    assert found["dropped"] == 0
    assert 0 < found["trains"] <= packets
    assert found["last_at"] >= sent.began_at
