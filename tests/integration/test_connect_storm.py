"""Five hundred strangers connect to ports of a running daemon and stay: its clients get their images all the same."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.test_ports_under_fire import daemon, ports_of, restored

STORM = 500
HALF_A_REQUEST = b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Never: "
DRIP_S = 0.5
METHODS = ("UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT")


async def _stay(port: int, *, tls: bool) -> None:
    """Connect, say half of something, go on byte by byte; again when hung up on."""
    context = ssl._create_unverified_context() if tls else None
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                writer.write(HALF_A_REQUEST)
                while not writer.transport.is_closing():
                    await asyncio.sleep(DRIP_S)
                    writer.write(b"y")
            finally:
                writer.transport.abort()
        await asyncio.sleep(DRIP_S)


@contextlib.asynccontextmanager
async def storm(ports: list[int], *, control: int) -> AsyncIterator[None]:
    """As many to each port; half of those to the control port shake hands first."""
    each = [
        asyncio.create_task(_stay(port, tls=port == control and number % 2 == 0))
        for port in ports
        for number in range(STORM // len(ports))
    ]
    try:
        await asyncio.sleep(2 * DRIP_S)  # they have come; the test does not depend on how many
        yield
    finally:
        for task in each:
            task.cancel()
        await asyncio.gather(*each, return_exceptions=True)


@pytest.mark.parametrize("where", ["control", "torrents", "lanes"])
def test_five_hundred_that_stay_keep_no_client_out(tmp_path: Path, where: str) -> None:
    with daemon(tmp_path) as (process, log):
        url = re.search(r"https://\S+", log.read_text())
        http = re.search(r"torrents (\d+)", log.read_text())
        assert url is not None
        assert http is not None
        control, torrents = urlsplit(url[0]).port or 0, int(http[1])
        ports = ports_of(process.pid, "tcp")
        lanes = [port for port in ports if port not in (control, torrents)]
        chosen = {"control": [control], "torrents": [torrents], "lanes": lanes}[where]

        async def take() -> None:
            async with storm(chosen, control=control):
                for method in METHODS:
                    await asyncio.to_thread(restored, tmp_path, url[0], method)

        asyncio.run(take())
        assert process.poll() is None
        assert "Traceback" not in log.read_text()
