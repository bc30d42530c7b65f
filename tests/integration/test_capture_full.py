"""A repository whose disk fills during a capture: the client is told, and everything there before stays."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import random
import re
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import CaptureError, OgcastError, RepositoryFullError
from core.ids import SessionId
from images.digest import digest_of
from images.stores import Encoding
from repod.initialise import initialise
from transports.base import ClientContext, Offer
from transports.registry import by_name, load_client

ROOT = Path(__file__).parents[2]
CHUNK = 65536
ROOM_BYTES = 8 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A repository on a disk of 8 MiB."""
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", str(root)], check=True)
    try:
        initialise(root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


def post(settings: dict[str, str], url: str, body: object) -> tuple[int, dict[str, object]]:
    tls = ssl.create_default_context(cadata=settings["certificate"])
    asked = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Authorization": f"Bearer {settings['token']}"}
    )
    with urllib.request.urlopen(asked, context=tls, timeout=20) as answer:
        return answer.status, json.loads(answer.read())


async def fill(opened: dict[str, object]) -> tuple[int, OgcastError | None]:
    """Upload noise until an error comes; how many chunks were taken, and the error."""
    rng = random.Random(4)
    context = ClientContext(
        repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None
    )
    offers = opened["offers"]
    assert isinstance(offers, list)
    client = load_client(by_name("unicast"))(context)
    uploading = client.upload(  # type: ignore[attr-defined]
        Offer(transport="unicast", parameters=offers[0]["parameters"]),
        session_id=SessionId(str(opened["capture"])),
        key=base64.b64decode(str(opened["key"])),
    )
    taken = 0
    try:
        async with asyncio.timeout(30), uploading as lane:
            for _ in range(2 * ROOM_BYTES // CHUNK):
                raw = rng.randbytes(CHUNK)
                await lane.write(digest_of(raw), raw, encoding=Encoding.RAW, raw_length=CHUNK)
                taken += 1
    except OgcastError as error:
        return taken, error
    return taken, None


@pytest.mark.root
def test_a_full_disk_is_told_and_harms_nothing(small: Path) -> None:
    settings = tomllib.loads((small / "client.toml").read_text())
    process = subprocess.Popen(
        [sys.executable, "-m", "repod", "serve", str(small), "--host", "127.0.0.1", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"https://\S+", process.stdout.readline())
        assert found is not None
        status, opened = post(settings, f"{found[0]}/v1/captures", {"name": "big"})
        assert status == 201
        taken, error = asyncio.run(fill(opened))
        assert 0 < taken < ROOM_BYTES // CHUNK
        assert isinstance(error, RepositoryFullError | CaptureError), error
        status, _ = post(settings, f"{found[0]}/v1/captures", {"name": "other"})
        assert status == 201
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0
    listed = subprocess.run(
        [sys.executable, "-m", "repod", "ls", str(small), "--json"], cwd=ROOT, capture_output=True, text=True
    )
    assert json.loads(listed.stdout) == {"images": []}
