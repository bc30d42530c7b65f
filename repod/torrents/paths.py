"""The URLs of a published torrent, below a base such as `http://images.example.org:8727`."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from core.errors import UsageError
from core.hostname import is_host_name
from repod.torrents.publications import Publication

__all__ = ["ANNOUNCE_PATH", "FILE_PATH", "announce_url", "check_base", "file_url", "torrent_url"]

ANNOUNCE_PATH = "/announce/{secret}"
"""Begins so because libtorrent refuses other trackers on loopback and in private networks."""
FILE_PATH = "/torrents/{secret}/{file}"
"""The file, or with `.torrent` behind its name the torrent."""


def announce_url(base: str, publication: Publication) -> str:
    """The tracker."""
    return base + ANNOUNCE_PATH.format(secret=publication.secret)


def file_url(base: str, publication: Publication) -> str:
    """The web seed."""
    return base + FILE_PATH.format(secret=publication.secret, file=quote(publication.file_name, safe=""))


def torrent_url(base: str, publication: Publication) -> str:
    """The torrent itself: all that a client needs."""
    return file_url(base, publication) + ".torrent"


def check_base(url: str) -> str:
    """A base that a person gave, as it goes into torrents. Raises UsageError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = is_host_name(host) or ":" in host
        usable = parts.scheme in ("http", "https") and named and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url or parts.username is not None:
        raise UsageError(f"not a URL of a repository: {url!a}", hint="write http://HOST:PORT or https://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{url!a} has more than a host and a port", hint=f"write {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"
