"""A site is a real repository with a real daemon, and is gone when its block ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.site import Site
from client.first_settings import read_settings
from core.errors import OgcastError


def test_a_daemon_serves_on_a_free_port_and_stops(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.init()
    with site.serve() as daemon:
        assert daemon.url.startswith("https://127.0.0.1:")
        os.kill(daemon.pid, 0)
    assert not Path(f"/proc/{daemon.pid}").exists()


def test_settings_are_as_plain_as_those_of_a_site(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.init()
    config = str(site.repository / "client.toml")
    assert read_settings(config, repo=None, interface=None, environ={}) is not None  # else a client reads them slowly


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(OgcastError, match="did not become ready"), Site(tmp_path).serve():
        pass
