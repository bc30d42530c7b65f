"""A site is a real repository with a real daemon, and is gone when its block ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.site import Site
from core.errors import OgcastError


def test_a_daemon_serves_on_a_free_port_and_stops(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.init()
    with site.serve() as daemon:
        assert daemon.url.startswith("https://127.0.0.1:")
        os.kill(daemon.pid, 0)
    assert not Path(f"/proc/{daemon.pid}").exists()


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(OgcastError, match="did not become ready"), Site(tmp_path).serve():
        pass
