"""Runs a client to which this machine is idle, whatever else runs here: `idle.py PYTHON -m client WORD …`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

__all__: list[str] = []

sys.path.insert(0, str(Path(__file__).parents[2]))

from client import contention

contention.WAIT_SHARE = float("inf")
contention.IDLE_SHARE = -1.0
sys.argv = ["ogcast", *sys.argv[4:]]
runpy.run_module("client", run_name="__main__")
