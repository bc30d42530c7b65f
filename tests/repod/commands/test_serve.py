"""repod serve, as a process: one line when ready, a clean stop, and clear errors for what prevents it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from repod.layout import Layout

ROOT = Path(__file__).parents[3]
LINE = re.compile(
    r"repod: serving (\S+) on (https://127\.0\.0\.1:(\d+)) \(multicast lane \d+, p2p lane \d+, unicast lane (\d+)\)\n"
)
MEMORY_LIMIT_KIB = 250 * 1024


def start(layout: Layout, *args: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "repod", "serve", str(layout.root), "--host", "127.0.0.1", *args],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def serving(layout: Layout, *args: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    process = start(layout, *args, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = LINE.fullmatch(line)
        if match is None:
            process.kill()
            pytest.fail(f"no line: {line!r} {process.communicate()}")
        yield process, match
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def request(
    layout: Layout, url: str, method: str = "GET", body: object = None, role: str = "client"
) -> tuple[int, bytes]:
    settings = tomllib.loads((layout.client if role == "client" else layout.operator).read_text())
    tls = ssl.create_default_context(cadata=settings["certificate"])
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(
        url, data=data, method=method, headers={"Authorization": f"Bearer {settings['token']}"}
    )
    try:
        with urllib.request.urlopen(asked, context=tls, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def refused(layout: Layout, *args: str) -> tuple[int, str]:
    process = start(layout, *args)
    out, err = process.communicate(timeout=30)
    assert out == ""
    return process.returncode, err


def test_one_line_tells_the_real_ports_and_a_signal_ends_it(layout, publish) -> None:
    publish("win", b"x" * 1000)
    with serving(layout, "--port", "0") as (process, match):
        assert match[1] == str(layout.root)
        assert 0 not in (int(match[3]), int(match[4]))
        status, body = request(layout, match[2] + "/v1/images/win")
        assert (status, json.loads(body)["name"]) == (200, "win")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        # --port 0: client.toml cannot name it
        assert [json.loads(line)["event"] for line in err.splitlines()] == ["port_of_client_toml", "stopping"]


def test_a_second_signal_ends_it_at_once(layout, publish) -> None:
    publish("win", b"x" * 1000)
    with serving(layout, "--port", "0", REPOD_LIMITS_GRACE_S="3600") as (process, match):
        ask = {"image": "win", "method": "unicast"}
        assert request(layout, match[2] + "/v1/sessions", "POST", ask)[0] == 201
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("stopping" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130


def test_a_restart_keeps_images_and_forgets_sessions(layout, publish) -> None:
    publish("win", b"x" * 1000)
    with serving(layout, "--port", "0", REPOD_LIMITS_GRACE_S="0") as (process, match):
        port = match[3]
        _, body = request(layout, match[2] + "/v1/sessions", "POST", {"image": "win", "method": "unicast"})
        session = json.loads(body)["session"]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert "the repository is stopping" in err
    with serving(layout, "--port", port) as (_, match):
        report = {"state": "transferring", "have": 0}
        assert request(layout, f"{match[2]}/v1/sessions/{session}/reports", "POST", report)[0] == 404
        assert request(layout, match[2] + "/v1/sessions", "POST", {"image": "win", "method": "unicast"})[0] == 201


def test_a_daemon_that_was_killed_leaves_nothing_in_the_way(layout, publish) -> None:
    publish("win", b"x" * 1000)
    with serving(layout, "--port", "0") as (process, match):
        assert request(layout, match[2] + "/v1/captures", "POST", {"name": "new"})[0] == 201
        process.kill()
    with serving(layout, "--port", "0") as (_, match):
        assert request(layout, match[2] + "/v1/captures", "POST", {"name": "new"})[0] == 201
        assert request(layout, match[2] + "/v1/images/win")[0] == 200


def test_readiness_is_told_to_the_service_manager(layout, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        listener.settimeout(10)
        with serving(layout, "--port", "0", NOTIFY_SOCKET=str(tmp_path / "n")) as (process, _):
            assert listener.recv(64) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert listener.recv(64) == b"STOPPING=1"


def test_a_port_in_use_is_code_4_with_a_hint(layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, err = refused(layout, "--port", str(taken.getsockname()[1]))
    assert code == 4
    assert "is in use" in err
    assert "--port" in err
    assert "Traceback" not in err


def test_a_taken_port_beside_the_control_port_is_no_obstacle(layout) -> None:
    port = 20000 + os.getpid() % 10000  # below those that the kernel gives to tests beside this one
    with socket.create_server(("127.0.0.1", port + 1)), serving(layout, "--port", str(port)) as (_, match):
        assert int(match[4]) not in (0, port, port + 1)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--host", "192.0.2.77", "--port", "0"], 1),
        (["--host", "no.such.host.invalid", "--port", "0"], 1),
        (["--port", "70000"], 1),
        (["--port", "many"], 1),
        (["--interface", "nosuch0", "--host", "", "--port", "0"], 1),
        (["--log-level", "loud"], 1),
    ],
)
def test_settings_that_cannot_be_are_code_1(layout, args, code) -> None:
    got, err = refused(layout, *args)
    assert got == code, err
    assert err.startswith("error: ")


def test_what_is_no_repository_or_a_newer_one_is_told(layout, tmp_path) -> None:
    assert refused(Layout(tmp_path / "none"))[0] == 2
    assert refused(Layout(tmp_path))[0] == 23
    (layout.root / "format").write_text("ogcast-repository 99\n")
    code, err = refused(layout, "--port", "0")
    assert code == 23
    assert "hint: " in err


def test_missing_or_broken_keys_are_told(layout) -> None:
    key = layout.tls_key.read_bytes()
    layout.tls_key.write_bytes(b"garbage")
    assert refused(layout, "--port", "0")[0] == 23
    layout.tls_key.write_bytes(key)
    layout.signing_key.unlink()
    code, err = refused(layout, "--port", "0")
    assert (code, "signing.key" in err) == (23, True)


def test_print_config_shows_origins_and_starts_nothing(layout) -> None:
    process = start(layout, "--port", "9", "--print-config", REPOD_LEVEL="7")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "port = 9  # flag" in out
    assert "level = 7  # environment (REPOD_LEVEL)" in out


def test_print_config_shows_the_tables_of_transports_too(layout) -> None:
    layout.settings.write_text("[transports.unicast]\nlanes_at_once = 3\n[transports.p2p]\nenabled = false\n")
    process = start(layout, "--print-config")
    out, _ = process.communicate(timeout=20)
    assert f"lanes_at_once = 3  # {layout.settings}" in out
    shown = tomllib.loads(out)["transports"]
    assert (shown["unicast"]["max_lanes"], shown["p2p"]["enabled"], shown["unicast"]["enabled"]) == (1024, False, True)
    assert shown["multicast"]["mode"] == "ssm"


def test_print_config_refuses_what_serving_would(layout) -> None:
    layout.settings.write_text("[transports.p2p]\nport = -1\n")
    for args in ([], ["--print-config"]):
        code, err = refused(layout, "--port", "0", *args)
        assert (code, "transports.p2p.port" in err) == (1, True)


def test_memory_stays_bounded_whatever_clients_ask(layout, publish) -> None:
    publish("win", bytes(65536) + b"x" * 3_000_000)
    with serving(layout, "--port", "0") as (process, match):
        for _ in range(150):
            assert request(layout, match[2] + "/v1/sessions", "POST", {"image": "win", "method": "unicast"})[0] == 201
            assert request(layout, match[2] + "/v1/images/win/manifest")[0] == 200
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) < MEMORY_LIMIT_KIB
