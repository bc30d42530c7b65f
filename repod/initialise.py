"""Making a repository: keys, certificate, tokens and settings, all at once or not at all."""

from __future__ import annotations

import base64
import contextlib
import datetime
import errno
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import render_template, toml_value
from core.errors import RepositoryError, RepositoryFullError, UsageError
from core.files import write_atomically
from core.hostname import is_host_name
from core.netif import ip_version
from images.repository import Repository
from images.signing import SigningKey
from images.store.marker import repository_around
from repod.addresses import ALL_OF
from repod.certificate import make_certificate
from repod.layout import Layout
from repod.settings import DEFAULT_PORT, Settings
from repod.tokens import Role, TokenFile, issue
from transports.registry import settings_of, specs

__all__ = ["Initialised", "default_host", "initialise"]

ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was made."""

    url: str
    """Where clients will look for it."""
    names: tuple[str, ...]
    """Names and addresses in the certificate."""


def initialise(root: Path, *, hosts: Sequence[str], now: datetime.datetime, port: int = DEFAULT_PORT) -> Initialised:
    """Make a repository in `root`, which must not exist or be empty. `hosts[0]` is the one clients are told.

    Raises UsageError if something is there already, RepositoryFullError or RepositoryError if it cannot be made;
    then `root` is as it was.
    """
    named = tuple(hosts) or (default_host(),)
    own = filter(is_host_name, [socket.gethostname()])  # which may be one that no certificate can name
    names = tuple(dict.fromkeys((*named, *own, *ALWAYS_NAMED)))
    url = f"https://{_bracketed(named[0])}:{port}"
    root = Path(os.path.abspath(root))
    with _making(root):
        _check_free(root)
    with _making(root), _draft_for(root) as draft:
        listen = ALL_OF[6] if ip_version(named[0]) == 6 else ""  # clients are led there, and "" is all of IPv4
        _fill(draft, names=names, url=url, given={"host": listen, "port": port}, now=now)
        if root.exists():
            draft.chmod(stat.S_IMODE(root.stat().st_mode))  # whoever made the folder chose who may enter it
        _settle(draft, root)
    return Initialised(url=url, names=names)


def default_host() -> str:
    """The address of this machine on the network that its default route uses; no packet is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1: only the routing table is asked
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _check_free(root: Path) -> None:
    if (root / "format").exists():
        raise UsageError(f"{root} is a repository already", hint="nothing was changed; choose another folder")
    if root.exists() and (not root.is_dir() or any(item.name != "lost+found" for item in root.iterdir())):
        raise UsageError(f"{root} exists and is not an empty folder", hint="nothing was changed; choose another folder")
    if (around := repository_around(root)) is not None:
        raise UsageError(
            f"{root} is inside the repository {around}, where nothing but its own files may be",
            hint="nothing was changed; choose a folder outside it",
        )


@contextlib.contextmanager
def _making(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = RepositoryFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else RepositoryError
        hint = f"let root make the folder: install -d -o USER {root}" if error.errno in _MAY_NOT else None
        raise kind(f"cannot make a repository at {root}: {error.strerror or error}", hint=hint) from error


@contextlib.contextmanager
def _draft_for(root: Path) -> Iterator[Path]:
    """A new folder to fill, which goes when the block ends: beside `root`, where one step puts it in its place; in it
    where only that may be written, as in a relay's unit."""
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = root.with_name(f".{root.name}.{secrets.token_hex(4)}")
    try:
        draft.mkdir()
    except OSError as error:
        if error.errno not in _MAY_NOT or not root.is_dir():
            raise
        draft = root / draft.name
        draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, *, names: Sequence[str], url: str, given: Mapping[str, object], now: datetime.datetime) -> None:
    Repository.create(draft).close()
    layout = Layout(draft)
    key = SigningKey.generate()
    certificate = make_certificate(names, now=now)
    write_atomically(layout.signing_key, key.to_pem(), mode=0o600)
    write_atomically(layout.tls_key, certificate.key, mode=0o600)
    write_atomically(layout.certificate, certificate.certificate)
    client_secret, client = issue(Role.CLIENT, now=now.timestamp(), label="client.toml")
    operator_secret, operator = issue(Role.OPERATOR, now=now.timestamp(), label="operator.toml")
    TokenFile(layout.tokens).write([client, operator])
    heading = (
        "Settings of this repository's daemon (repod serve). Keys left out have the value shown.\n"
        "REPOD_… variables and flags win over this file: repod serve DIR --print-config shows what counts."
    )
    tables = {f"transports.{name}": kind for name, spec in specs().items() if (kind := settings_of(spec)) is not None}
    defaults = Settings()
    given = {key: value for key, value in given.items() if value != getattr(defaults, key)}
    write_atomically(layout.settings, render_template(Settings, heading=heading, given=given, tables=tables))
    for path, secret, who in (
        (layout.client, client_secret, "clients (role client)"),
        (layout.operator, operator_secret, "operators (role operator): keep it off the clients"),
    ):
        text = client_settings(
            url=url, certificate=certificate.certificate.decode(), token=secret, public=key.public, who=who
        )
        write_atomically(path, text, mode=0o600)


def client_settings(*, url: str, certificate: str, token: str, public: bytes, who: str) -> str:
    """The text of a ready-made client.toml."""
    return (
        f"# Settings of ogcast for {who}. It holds a token: keep it private.\n\n"
        f"# Where the repository is.\nurl = {toml_value(url)}\n\n"
        f"# The only certificate trusted; docs/operations.md says how to renew it.\n"
        f"certificate = {toml_value(certificate)}\n\n"
        f"token = {toml_value(token)}\n\n"
        f"# Public key that must have signed every manifest, base64.\n"
        f"signing_key = {toml_value(base64.b64encode(public).decode())}\n"
    )


def _settle(draft: Path, root: Path) -> None:
    """Make the finished draft the repository. The file `format` comes last where that takes several steps."""
    inner = root / draft.name
    if draft != inner:
        try:
            draft.rename(root)  # replaces an empty folder in one step
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST):
                raise
    moved: list[Path] = []
    try:
        if draft != inner:  # a mount point cannot be replaced: move the content inside
            shutil.copytree(draft, inner)
        for item in sorted(inner.iterdir(), key=lambda item: (item.name == "format", item.name)):
            target = root / item.name
            item.rename(target)
            moved.append(target)
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    finally:
        shutil.rmtree(inner, ignore_errors=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
