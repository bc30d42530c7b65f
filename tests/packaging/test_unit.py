"""The systemd units: systemd understands them, and what they run can do all it offers under them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from images.repository import Repository
from repod.initialise import initialise
from repod.layout import Layout
from tests.client.conftest import served
from tests.repod.conftest import manifest_of, store_chunks
from tests.support.socket_families import SOCKET_CALL
from transports.registry import specs

ROOT = Path(__file__).parents[2]
REPOD = ROOT / "packaging" / "ogcast-repod@.service"
RELAY = ROOT / "packaging" / "ogcast-relay@.service"
PATIENCE_S = 60.0

main_repository = contextlib.contextmanager(served)


def setting(unit: Path, name: str) -> str:
    """What a unit sets `name` to, once."""
    (value,) = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    return str(value)


@pytest.mark.tools("systemd-analyze")
@pytest.mark.parametrize("unit", [REPOD, RELAY], ids=lambda unit: unit.name)
def test_systemd_understands_the_unit(tmp_path: Path, unit: Path) -> None:
    instance = tmp_path / unit.name.replace("@", "@srv-images")
    shutil.copy(unit, instance)
    done = subprocess.run(["systemd-analyze", "verify", str(instance)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_relay_is_confined_like_a_repository() -> None:
    both = [unit.read_text().partition("NoNewPrivileges=")[2].partition("[Install]")[0] for unit in (REPOD, RELAY)]
    assert both[0] == both[1] != ""


@pytest.mark.skipif(platform.machine() not in SOCKET_CALL, reason="the filter knows x86-64 and arm64")
def test_every_transport_offers_with_the_sockets_the_unit_allows(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "repository")
    initialise(layout.root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    with Repository.open(layout.root) as repository, repository.writer(purpose="test") as writer:
        store_chunks(repository, b"abc" * 1000)
        repository.publish(manifest_of("win", b"abc" * 1000), sign=layout.load_signing_key(), writer=writer)
    serve = ["-m", "repod", "serve", str(layout.root), "--host", "127.0.0.1", "--port", "0"]
    line = [*limited(REPOD), sys.executable, *serve]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
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


@pytest.mark.skipif(platform.machine() not in SOCKET_CALL, reason="the filter knows x86-64 and arm64")
def test_a_relay_is_ready_when_it_serves_and_stops_without_failing(tmp_path: Path) -> None:
    """The line of the unit, with the environment, the sockets and the folders it gives; repod's notes are not taken."""
    store, credentials = tmp_path / "store", tmp_path / "credentials"
    for folder in (store, credentials):
        folder.mkdir()
    told = tmp_path / "notify"
    with main_repository(tmp_path) as room, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        shutil.copy(room.config, credentials / "client.toml")
        manager.bind(str(told))
        manager.settimeout(PATIENCE_S)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        given = {
            "CREDENTIALS_DIRECTORY": str(credentials),
            "IMAGES": "room1",
            "OPTIONS": f"--port {port} --serve-interface lo",
            "OGCAST_STATE_DIR": str(tmp_path / "run"),
            "OGCAST_URL": room.url,
        }
        line = command_line(RELAY, given, folder=store)
        assert line[:2] == ["/usr/bin/env", "ogcast"]
        words = [*limited(RELAY), sys.executable, "-m", "client", *line[2:]]
        environment = {**os.environ, **given, "NOTIFY_SOCKET": str(told), "HOME": "/nonexistent"}
        with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as relay:
            try:
                heard = list(until_told(manager, relay, "READY=1"))
                assert "STATUS=fetching room1" in heard
                for spec in specs().values():
                    opened = _open(Layout(store), f"https://127.0.0.1:{port}", f"{spec.protocol}-DIRECT", "room1")
                    assert opened["refusals"] == {}
                relay.terminate()
                list(until_told(manager, relay, "STOPPING=1"))
                assert relay.wait(PATIENCE_S) == int(setting(RELAY, "SuccessExitStatus"))
            finally:
                relay.kill()


def limited(unit: Path) -> list[str]:
    """Words before a command that give it the sockets of a unit."""
    families = ",".join(setting(unit, "RestrictAddressFamilies").split())
    return [sys.executable, str(ROOT / "tests" / "support" / "socket_families.py"), families]


def command_line(unit: Path, given: Mapping[str, str], *, folder: Path) -> list[str]:
    """ExecStart as systemd reads it: `$NAME` is split into words, `${NAME}` is not."""
    words: list[str] = []
    for word in setting(unit, "ExecStart").replace("%f", str(folder)).split():
        if re.fullmatch(r"\$\w+", word):
            words += given[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], word))
    return words


def until_told(manager: socket.socket, process: subprocess.Popen[bytes], wanted: str) -> Iterator[str]:
    """What the main process of a unit says, to `wanted`; NotifyAccess=main is deaf to all others."""
    said = ""
    while said != wanted:
        data, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
        said = data.decode()
        assert struct.unpack("3i", ancillary[0][2])[0] == process.pid, said
        yield said


def _open(
    layout: Layout, url: str, method: str, image: str = "win"
) -> dict[str, dict[str, str] | list[dict[str, str]]]:
    settings = tomllib.loads(layout.client.read_text())
    asked = urllib.request.Request(
        f"{url}/v1/sessions",
        data=json.dumps({"image": image, "method": method}).encode(),
        headers={"Authorization": f"Bearer {settings['token']}"},
    )
    tls = ssl.create_default_context(cadata=settings["certificate"])
    with urllib.request.urlopen(asked, context=tls, timeout=30) as answer:
        return json.loads(answer.read())
