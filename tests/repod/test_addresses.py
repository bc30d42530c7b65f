"""Where clients find the repository, by settings and client.toml."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from repod.addresses import ANY_HOST, listen_host, public_url, told_url, torrent_base
from repod.layout import Layout
from repod.settings import load_settings
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart


def settings(layout: Layout, **flags: object):
    return load_settings(layout, flags=flags).value


def test_the_address_to_listen_on(layout: Layout) -> None:
    assert listen_host(settings(layout)) == ANY_HOST
    assert listen_host(settings(layout, interface="lo")) == "127.0.0.1"
    assert listen_host(settings(layout, interface="lo", host="::1")) == "::1"
    for host in ("", "127.0.0.1"):
        with pytest.raises(UsageError, match="no network interface 'nosuch0'"):
            listen_host(settings(layout, interface="nosuch0", host=host))


@pytest.mark.root
@pytest.mark.skipif(not namespaces_usable(), reason="needs network namespaces")
def test_an_interface_with_ipv6_alone_is_listened_on_by_host(layout: Layout) -> None:
    def work() -> str:
        ip("-4", "addr", "flush", "dev", INTERFACE)
        with pytest.raises(UsageError, match="no IPv4 address") as caught:
            listen_host(settings(layout, interface=INTERFACE))
        return str(caught.value.hint)

    assert '`host = "::"`' in run_apart(work)


def test_a_wildcard_is_the_host_clients_are_told(layout: Layout) -> None:
    assert told_url(layout).hostname == "127.0.0.1"
    assert public_url(layout, settings(layout), "https", "0.0.0.0", 1) == "https://127.0.0.1:1"
    assert public_url(layout, settings(layout), "https", "fd00::1", 1) == "https://[fd00::1]:1"
    assert public_url(layout, settings(layout, advertise="h.example"), "http", "0.0.0.0", 1) == "http://h.example:1"


def test_an_address_that_is_not_listened_on_is_not_named(layout: Layout) -> None:
    layout.client.write_text('url = "https://[fd00::1]:8717"')
    assert public_url(layout, settings(layout), "https", "0.0.0.0", 1) == "https://127.0.0.1:1"
    assert public_url(layout, settings(layout), "https", "::", 1) == "https://[fd00::1]:1"
    layout.client.write_text('url = "https://10.0.0.5:8717"')
    assert public_url(layout, settings(layout), "https", "::", 1) == "https://[::1]:1"


def test_a_client_toml_without_a_url_tells_nothing(layout: Layout) -> None:
    layout.client.write_text("url = [1]\n")
    assert told_url(layout).hostname is None
    layout.client.unlink()
    assert told_url(layout).hostname is None


@pytest.mark.parametrize(
    ("flags", "base"),
    [
        ({}, "https://127.0.0.1:8717"),
        ({"port": 0}, "https://127.0.0.1:8717"),
        ({"port": 9000}, "https://127.0.0.1:9000"),
        ({"torrents.http_port": 8727}, "http://127.0.0.1:8727"),
        ({"torrents.http_port": 8727, "advertise": "h.example"}, "http://h.example:8727"),
        ({"host": "fd00::1"}, "https://[fd00::1]:8717"),
    ],
)
def test_torrents_name_plain_http_where_it_is_switched_on(layout: Layout, flags: dict, base: str) -> None:
    assert torrent_base(layout, settings(layout, **flags)) == base
