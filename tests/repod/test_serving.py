"""Serving: the line that says where, and everything given back at the end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from repod.initialise import initialise
from repod.layout import Layout
from repod.serving import Serving
from tests.repod.conftest import NOW, running


def test_the_line_names_folder_url_and_lanes() -> None:
    layout = Layout(Path("/srv/images"))
    serving = Serving(url="https://10.0.0.5:8717", ports={"unicast": 8718})
    assert serving.line(layout) == "repod: serving /srv/images on https://10.0.0.5:8717 (unicast lane 8718)"
    assert Serving(url="https://h:1", ports={}, torrent_port=8727).line(layout).endswith(" (torrents 8727)")
    assert Serving(url="https://h:1", ports={}).line(layout) == "repod: serving /srv/images on https://h:1"


def test_a_port_that_client_toml_does_not_name_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert Serving(url="https://h:9000", ports={}).unlike_client_toml(layout) is None
    layout.client.write_text('url = "https://images.example.org"')
    assert Serving(url="https://10.0.0.5:8717", ports={}).unlike_client_toml(layout) is None
    warning = Serving(url="https://10.0.0.5:9000", ports={}).unlike_client_toml(layout)
    assert warning is not None
    assert "8717" in warning
    assert "--repo https://10.0.0.5:9000" in warning


@pytest.mark.parametrize(
    ("told", "host", "text"),
    [
        ("10.0.0.5", "::", "only IPv6 is listened on (::)"),
        ("[fd00::1]", "0.0.0.0", "`::` is all of IPv6"),
        ("[fd00::1]", "::", ""),
        ("10.0.0.5", "0.0.0.0", ""),
        ("images.example.org", "::", ""),
        ("10.0.0.5", "images.example.org", ""),
    ],
)
def test_a_version_of_ip_that_client_toml_names_and_nobody_listens_on_is_told(
    tmp_path: Path, told: str, host: str, text: str
) -> None:
    layout = Layout(tmp_path)
    layout.client.write_text(f'url = "https://{told}:8717"')
    warning = Serving(url=f"https://{told}:8717", ports={}, host=host).unlike_client_toml(layout)
    assert text in (warning or "")
    assert bool(text) == bool(warning)


@pytest.mark.asyncio
async def test_a_wildcard_is_shown_as_the_host_clients_are_told(daemon) -> None:
    async with daemon(host="0.0.0.0") as api:
        assert api.url.startswith("https://127.0.0.1:")


@pytest.mark.asyncio
async def test_a_repository_of_an_ipv6_address_is_served_there(tmp_path: Path) -> None:
    initialise(tmp_path / "r", hosts=["::1"], now=NOW)
    async with running(Layout(tmp_path / "r"), host=None) as api:
        assert api.url.startswith("https://[::1]:")
        status, _, _ = await api.ask("GET", "/v1/images")
        assert status == 200


@pytest.mark.asyncio
async def test_the_interface_gives_the_address(daemon) -> None:
    async with daemon(host="", interface="lo") as api:
        assert api.url.startswith("https://127.0.0.1:")


@pytest.mark.asyncio
async def test_stopping_gives_back_sockets_files_and_threads(daemon) -> None:
    async with daemon() as api:
        await api.ask("GET", "/v1/images")
    before = len(os.listdir("/proc/self/fd")), _threads()
    async with daemon() as api:
        await api.ask("GET", "/v1/images")
    after = len(os.listdir("/proc/self/fd")), _threads()
    assert after[0] <= before[0]
    assert after[1] <= before[1]


def _threads() -> set[str]:
    """Names of all threads but those of the loop's own pool, which grows up to its bound whenever it is busy."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
