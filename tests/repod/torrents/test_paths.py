"""URLs of torrents: what clients accept, and what a person may give."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from repod.torrents.paths import announce_url, check_base, file_url, torrent_url


def test_the_tracker_is_where_libtorrent_allows_one_in_a_private_network(publish_torrent) -> None:
    publication = publish_torrent().publication
    secret = publication.secret
    assert announce_url("http://h:1", publication) == f"http://h:1/announce/{secret}"
    assert file_url("http://h:1", publication) == f"http://h:1/torrents/{secret}/win%401.raw"
    assert torrent_url("http://h:1", publication) == f"http://h:1/torrents/{secret}/win%401.raw.torrent"


@pytest.mark.parametrize("url", ["http://h", "https://h:1/", "http://[fd00::1]:2", "http://10.0.0.5:8727"])
def test_hosts_and_ports_are_taken(url: str) -> None:
    assert check_base(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://a..b",
        "http://" + "x" * 64,
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "http://h/path",
        "http://h?x=1",
        "http://h#x",
        "http://user:word@h",
        "http://h ost",
        "http://h\n",
        "http://ä",
        "http://[::1",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_base(url)
