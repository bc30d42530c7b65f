"""The systemd unit: systemd understands it, and the daemon can do all it offers under it."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from images.repository import Repository
from repod.initialise import initialise
from repod.layout import Layout
from tests.repod.conftest import manifest_of, store_chunks
from tests.support.socket_families import SOCKET_CALL
from transports.registry import specs

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "ogcast-repod@.service"


@pytest.mark.tools("systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    instance = tmp_path / "ogcast-repod@srv-images.service"
    shutil.copy(UNIT, instance)
    done = subprocess.run(["systemd-analyze", "verify", str(instance)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(platform.machine() not in SOCKET_CALL, reason="the filter knows x86-64 and arm64")
def test_every_transport_offers_with_the_sockets_the_unit_allows(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "repository")
    initialise(layout.root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    with Repository.open(layout.root) as repository, repository.writer(purpose="test") as writer:
        store_chunks(repository, b"abc" * 1000)
        repository.publish(manifest_of("win", b"abc" * 1000), sign=layout.load_signing_key(), writer=writer)
    allowed = re.search(r"^RestrictAddressFamilies=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert allowed is not None
    limited = [sys.executable, str(ROOT / "tests" / "support" / "socket_families.py"), ",".join(allowed[1].split())]
    serve = ["-m", "repod", "serve", str(layout.root), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen([*limited, sys.executable, *serve], cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            said = re.search(r"https://\S+", daemon.stdout.readline())
            assert said is not None
            for spec in specs().values():
                opened = _open(layout, said[0], f"{spec.protocol}-DIRECT")
                assert opened["refusals"] == {}
                assert opened["offers"][0]["transport"] == spec.name
        finally:
            with contextlib.suppress(ProcessLookupError):
                daemon.terminate()


def _open(layout: Layout, url: str, method: str) -> dict[str, dict[str, str] | list[dict[str, str]]]:
    settings = tomllib.loads(layout.client.read_text())
    asked = urllib.request.Request(
        f"{url}/v1/sessions",
        data=json.dumps({"image": "win", "method": method}).encode(),
        headers={"Authorization": f"Bearer {settings['token']}"},
    )
    tls = ssl.create_default_context(cadata=settings["certificate"])
    with urllib.request.urlopen(asked, context=tls, timeout=30) as answer:
        return json.loads(answer.read())
