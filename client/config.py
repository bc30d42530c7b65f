"""Settings of ogcast: client.toml (as `repod init` writes it), the environment, flags."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from client.first_settings import CANDIDATES, DEFAULT_PORT, ENV_PREFIX, default_state_path
from core.config import load, setting
from core.errors import UsageError
from core.hostname import is_host_name

__all__ = ["CONFIG_CANDIDATES", "ENV_PREFIX", "ClientSettings", "config_path", "load_settings"]

CONFIG_CANDIDATES = tuple(map(Path, CANDIDATES))
"""Tried in this order when --config is not given."""

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What ogcast must know of its repository and of this machine."""

    url: str = setting(doc="The repository: https://HOST:PORT.")
    certificate: str = setting(doc="The repository's certificate, PEM. Nothing else is trusted.")
    token: str = setting(doc="Proves to the repository that this is one of its clients.", secret=True)
    signing_key: str = setting(doc="Public key of the repository's manifests: base64 of 32 bytes.")
    cache: Path | None = setting(
        doc="The CACHE: a directory. Without it, the one on the partition labelled CACHE.", default=None
    )
    interface: str | None = setting(
        doc="Network interface for data. Without it, the one that routes to the repository.", default=None
    )
    restore_protocol_not_cache: str = setting(
        doc="Protocol `deploy` takes for a direct restore where there is no CACHE: UNICAST, MULTICAST, …\n"
        "NONE: that is an error (OpenGnsys' RESTOREPROTOCOLNOTCACHE).",
        default="NONE",
    )
    seed: bool = setting(
        doc="Whether TORRENT methods go on giving in the background when the command has ended; --seed and --no-seed\n"
        "win over it.",
        default=True,
    )
    seed_from_target: bool = setting(
        doc="Whether a DIRECT restore over p2p gives from the target what memory does not hold, as soon as it is\n"
        "written, if that is no spinning disk. Each chunk is read back, compared with its digest, compressed again.",
        default=False,
    )
    state_dir: Path | None = setting(
        doc="Where journals of unfinished restores live, and notes and logs of seeders.\n"
        "Without it: /var/lib/ogcast, or ~/.local/state/ogcast.",
        default=None,
    )

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host = parts.hostname or ""
            named = is_host_name(host) or ":" in host or not host.isascii()
            good = parts.scheme == "https" and named and parts.port != 0
        except ValueError as error:  # brackets that do not match, a port that is no number
            raise ValueError(f"url {self.url!a} is not of the form https://HOST:PORT: {error}") from error
        if not good:
            raise ValueError(f"url {self.url!a} is not of the form https://HOST:PORT")
        if "-----BEGIN CERTIFICATE-----" not in self.certificate:
            raise ValueError("certificate is not in PEM form; copy it from the client.toml of the repository")
        if not self.token or not self.token.isascii() or not self.token.isprintable():
            raise ValueError("token is empty or holds characters that no token has")
        try:
            key = base64.b64decode(self.signing_key, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ValueError(f"signing_key is not the base64 of {_KEY_BYTES} bytes")

    @property
    def host(self) -> str:
        """Host part of the URL; the zone of an address behind a plain %, as the system takes it, however it is written:
        RFC 6874 has %25 in URLs."""
        return (urlsplit(self.url).hostname or "").replace("%25", "%")

    @property
    def base_url(self) -> str:
        """The URL with its port, without path or trailing slash."""
        parts = urlsplit(self.url)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{parts.port or DEFAULT_PORT}"

    @property
    def public_key(self) -> bytes:
        """The pinned key of manifests, 32 bytes."""
        return base64.b64decode(self.signing_key)

    @property
    def state_path(self) -> Path:
        """Directory of journals."""
        if self.state_dir is not None:
            return self.state_dir
        return Path(default_state_path(os.environ))


def config_path(config: Path | None) -> Path:
    """The file that --config names, else the first candidate there is. UsageError if there is none."""
    found = config or next((path for path in CONFIG_CANDIDATES if path.is_file()), None)
    if found is None:
        raise UsageError(
            "no configuration: give --config FILE",
            hint="`repod init` writes a client.toml beside the repository; copy it here or to /etc/ogcast",
        )
    return found


def load_settings(config: Path | None, *, repo: str | None, interface: str | None) -> ClientSettings:
    """The settings in force. UsageError with a hint if there is no file or something in it makes no sense."""
    config = config_path(config)
    if repo is not None and "://" not in repo:
        repo = f"https://{repo}"
    flags = {"url": repo, "interface": interface}
    return load(ClientSettings, file=config, environ=os.environ, env_prefix=ENV_PREFIX, flags=flags).value
