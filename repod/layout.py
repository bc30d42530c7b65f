"""Names of the daemon's own files in a repository directory (the store's are in images.repository)."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import LockedError, NotFoundError, RepositoryError
from images.signing import SigningKey
from images.store.disk import AS_OWNER

__all__ = ["Layout"]

_PUBLIC_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths in one repository directory."""

    root: Path

    @property
    def settings(self) -> Path:
        """Settings of the daemon."""
        return self.root / "repod.toml"

    @property
    def client(self) -> Path:
        """Ready-made settings for clients; holds a token, mode 0600."""
        return self.root / "client.toml"

    @property
    def operator(self) -> Path:
        """The same with an operator's token, mode 0600."""
        return self.root / "operator.toml"

    @property
    def signing_key(self) -> Path:
        """Ed25519 key that signs manifests, PKCS #8 PEM, mode 0600."""
        return self.root / "signing.key"

    @property
    def tls_key(self) -> Path:
        """Key of the certificate, mode 0600."""
        return self.root / "tls.key"

    @property
    def certificate(self) -> Path:
        """Self-signed certificate that clients pin."""
        return self.root / "tls.crt"

    @property
    def tokens(self) -> Path:
        """Digests of the tokens, their roles and expiry, mode 0600."""
        return self.root / "tokens.json"

    @property
    def torrents(self) -> Path:
        """The published torrents with the secrets of their URLs, mode 0600; there is none until the first."""
        return self.root / "torrents.json"

    @property
    def torrent_files(self) -> Path:
        """Their .torrent files."""
        return self.root / "torrents"

    def check(self) -> None:
        """Raise NotFoundError or RepositoryError unless a repository is here."""
        hint = f"make one: repod init {self.root}"
        try:
            if _is_file(self.root / "format"):
                return
            there = self.root.exists()
        except PermissionError:
            raise RepositoryError(f"cannot read {self.root}", hint=AS_OWNER) from None
        except OSError as error:  # a name too long for any folder, a disk that answers with errors
            raise RepositoryError(f"cannot look for a repository at {self.root}: {error.strerror}") from None
        if not there:
            raise NotFoundError(f"no repository at {self.root}", hint=hint)
        raise RepositoryError(f"{self.root} is not a repository", hint=hint)

    @contextlib.contextmanager
    def only_daemon(self) -> Iterator[None]:
        """Keep other daemons away: sessions, and who captures a name, are known to one only. LockedError if one runs.

        The lock is a flock on the file `format`; it goes with the process, however that ends.
        """
        with (self.root / "format").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(
                    f"another repod serves {self.root}", hint="one daemon serves a repository; stop that one first"
                ) from None
            yield

    def load_signing_key(self) -> SigningKey:
        """The key that signs. RepositoryError with a hint if it is missing or unreadable."""
        return SigningKey.from_pem(self.read(self.signing_key))

    def trusted_key(self) -> bytes | None:
        """The public key by which images have to be signed here: what `client.toml` says, in a relay's store that of
        its main repository. Where that file was taken away, that of `signing.key`; without both, None.
        """
        with contextlib.suppress(OSError, ValueError):
            said = tomllib.loads(self.client.read_text(encoding="utf-8")).get("signing_key")
            key = base64.b64decode(said, validate=True) if isinstance(said, str) else b""
            if len(key) == _PUBLIC_KEY_BYTES:
                return key
        return self.load_signing_key().public if self.signing_key.exists() else None

    @property
    def signs(self) -> bool:
        """Whether clients accept what `signing.key` signs. RepositoryError if that is missing or unreadable."""
        return self.load_signing_key().public == self.trusted_key()

    def load_trusted_signing_key(self) -> SigningKey:
        """The key to sign new images with. RepositoryError if clients would refuse what it signs, or it is missing."""
        key = self.load_signing_key()
        if not self.signs:
            raise RepositoryError(
                f"clients of {self.root} would refuse an image that is signed here: client.toml names another key",
                hint="if this is the store of a relay, import and capture at its main repository; else put the public "
                "half of signing.key there",
            )
        return key

    def read(self, path: Path) -> bytes:
        """One of the files; RepositoryError if it cannot be read."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if not self.root.is_dir():
                raise NotFoundError(f"no repository at {self.root}", hint=f"make one: repod init {self.root}") from None
            raise RepositoryError(
                f"{path} is missing", hint=f"restore it from a backup, or check that {self.root} is a repository"
            ) from None
        except PermissionError as error:
            raise RepositoryError(f"cannot read {path}", hint=AS_OWNER) from error
        except OSError as error:
            raise RepositoryError(f"cannot read {path}: {error.strerror}") from error


def _is_file(path: Path) -> bool:
    """As Path.is_file, but raises OSError where that cannot be told: from Python 3.14 on that says False there."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
