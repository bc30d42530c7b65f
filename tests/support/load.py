"""Runs a client to which this machine is idle, or busy, whatever runs here: `load.py idle PYTHON -m client WORD …`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

__all__: list[str] = []

sys.path.insert(0, str(Path(__file__).parents[2]))

from core import contention

idle = sys.argv[1] == "idle"
contention.WAIT_SHARE = float("inf") if idle else -1.0
contention.IDLE_SHARE = -1.0
sys.argv = ["ogcast", *sys.argv[5:]]
runpy.run_module("client", run_name="__main__")
