"""aiohttp comes without the system's authorities, and the environment stays as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os
from client.http import aiohttp
import aiohttp.connector
print(aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])
print(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
"""


@pytest.mark.parametrize(
    ("environment", "after"),
    [({}, ["None", "None"]), ({"SSL_CERT_FILE": "/etc/some.pem"}, ["/etc/some.pem", "None"])],
)
def test_no_authority_is_read(environment: dict[str, str], after: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["0", *after]
