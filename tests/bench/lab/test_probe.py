"""The probe's packets arrive at its own receiver."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.lab.probe import PACKET_BYTES, READY, send
from bench.site import ROOT


def test_what_is_sent_is_counted() -> None:
    command = [sys.executable, "-m", "bench.lab.probe", "receive", "127.0.0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline().strip() == READY
        assert send("127.0.0.1", 50) == 50
        counted = json.loads(receiver.communicate()[0])
    assert counted["packets"] == 50
    assert counted["bytes"] == 50 * PACKET_BYTES
