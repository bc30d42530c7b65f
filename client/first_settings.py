"""The few settings that opening a session takes, read without the loader (client/config.py), which is not there yet.

The rules are the loader's: a flag wins over the environment, and that over the file. What is not plain, or not right,
is left to it, and so are its words for a person.
"""

from __future__ import annotations

import os
import socket

from core.plain_toml import read_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANDIDATES", "DEFAULT_PORT", "ENV_PREFIX", "FirstSettings", "default_state_path", "read_settings"]

CANDIDATES = ("client.toml", "/etc/ogcast/client.toml", "/opt/opengnsys/etc/ogcast.toml")
"""Tried in this order when --config is not given."""
DEFAULT_PORT = 8717
ENV_PREFIX = "OGCAST_"
FILE_MAX_BYTES = 1 << 20


class FirstSettings:
    """As in ClientSettings, but not checked beyond what is used here. No dataclass: see Wish."""

    def __init__(
        self, *, host: str, port: int, certificate: str, token: str, interface: str | None, state_path: str
    ) -> None:
        self.host = host
        self.port = port
        self.certificate = certificate
        self.token = token
        self.interface = interface
        self.state_path = state_path


def read_settings(
    config: str | None, *, repo: str | None, interface: str | None, environ: Mapping[str, str] = os.environ
) -> FirstSettings | None:
    """The settings in force; None if the loader has to look. Raises OSError if the file cannot be read."""
    path = config or next((path for path in CANDIDATES if os.path.isfile(path)), None)
    if path is None:
        return None
    with open(path, "rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    try:
        plain = read_plain(data.decode()) if len(data) <= FILE_MAX_BYTES else None
    except UnicodeDecodeError:
        return None
    if plain is None:
        return None
    found: dict[str, str | None] = {}
    for key in ("url", "certificate", "token", "interface", "state_dir"):
        value = environ.get(f"{ENV_PREFIX}{key.upper()}", plain.get(key))
        if value is not None and not isinstance(value, str):
            return None
        found[key] = value
    if repo is not None:
        found["url"] = repo if "://" in repo else f"https://{repo}"
    where = _address(found["url"] or "")
    certificate, token = found["certificate"], found["token"]
    if where is None or not certificate or not token or not (token.isascii() and token.isprintable()):
        return None
    return FirstSettings(
        host=where[0],
        port=where[1],
        certificate=certificate,
        token=token,
        interface=interface if interface is not None else found["interface"],
        state_path=found["state_dir"] or default_state_path(environ),
    )


def _address(url: str) -> tuple[str, int] | None:
    """Host and port of https://HOST:PORT or https://[ADDRESS]:PORT; None for what is written in any other way."""
    scheme, _, rest = url.removesuffix("/").partition("://")
    if rest.startswith("["):
        host, bracket, rest = rest[1:].partition("]")
        between, colon, port = rest.partition(":")
        usual = bool(bracket) and not between and _is_ipv6(host)
    else:
        host, colon, port = rest.partition(":")
        usual = host.isascii() and host.replace(".", "").replace("-", "").isalnum()
    if scheme != "https" or not usual:
        return None
    if not colon:
        return host.lower(), DEFAULT_PORT
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    return (host.lower(), number) if 0 < number < 65536 else None


def _is_ipv6(host: str) -> bool:
    try:  # not `ipaddress`, whose import takes as long as all of this
        socket.inet_pton(socket.AF_INET6, host)
    except (OSError, ValueError):
        return False
    return True


def default_state_path(environ: Mapping[str, str]) -> str:
    """Where journals live if no setting says it."""
    if os.geteuid() == 0:
        return "/var/lib/ogcast"
    return os.path.join(os.path.expanduser(environ.get("XDG_STATE_HOME", "~/.local/state")), "ogcast")
