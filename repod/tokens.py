"""Tokens: who may use the control API. Only their digests are kept, so the file cannot be used to log in."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from core.errors import NotFoundError, RepositoryError, UsageError
from core.files import write_atomically

__all__ = ["LABEL_MAX_CHARS", "TOKENS_MAX", "Role", "Token", "TokenFile", "issue", "token_digest"]

TOKENS_MAX = 256
"""Tokens of one repository: checking one reads them all, so that its time tells nothing."""
LABEL_MAX_CHARS = 64
TOKENS_BYTES_MAX = 1 << 20
_SECRET_BYTES = 32
_PREFIX = "ogt_"


class Role(enum.StrEnum):
    """What a token allows."""

    CLIENT = "client"
    """List, take and capture images."""
    OPERATOR = "operator"
    """Everything."""

    def allows(self, needed: Role) -> bool:
        """Whether this role may do what needs `needed`."""
        return self is Role.OPERATOR or self is needed


class Token(msgspec.Struct, kw_only=True, frozen=True):
    """One token as kept."""

    id: str
    """8 hex digits: names it in lists and logs."""
    digest: str
    """BLAKE3 of the token, hex."""
    role: Role
    label: str = ""
    created: float = 0.0
    """Seconds since 1970."""
    expires: float | None = None
    """Seconds since 1970; None: never."""

    def valid(self, now: float) -> bool:
        """Whether it has not expired at `now`."""
        return self.expires is None or now < self.expires


class _Tokens(msgspec.Struct):
    tokens: list[Token]


def token_digest(secret: str) -> str:
    """What is kept of a token. Tokens have 256 random bits, so a plain fast digest is enough."""
    return blake3(secret.encode("utf-8", "surrogateescape")).hexdigest()


def issue(role: Role, *, now: float, label: str = "", lifetime_s: float | None = None) -> tuple[str, Token]:
    """A new token: the secret to hand out, shown never again, and what is kept."""
    if len(label) > LABEL_MAX_CHARS or not label.isprintable():
        raise UsageError(f"label must be at most {LABEL_MAX_CHARS} printable characters")
    secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    expires = None if lifetime_s is None else now + lifetime_s
    kept = Token(
        id=secrets.token_hex(4), digest=token_digest(secret), role=role, label=label, created=now, expires=expires
    )
    return secret, kept


class TokenFile:
    """The tokens of one repository. A running daemon sees changes of the file at the next request."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: list[Token] = []

    def all(self) -> list[Token]:
        """The tokens as they are now. Raises RepositoryError if the file is missing or damaged."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._tokens = _parse(self._path)
                self._seen = seen
        except OSError as error:
            raise RepositoryError(f"cannot read {self._path}: {error.strerror}") from error
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """The token with this secret, expired or not. Takes the same time whichever matches."""
        digest = token_digest(secret)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.digest.encode(), digest.encode()):
                found = token
        return found

    def add(self, token: Token) -> None:
        """Keep one more."""
        with self._changing() as tokens:
            if len(tokens) >= TOKENS_MAX:
                raise UsageError(f"there are {TOKENS_MAX} tokens already", hint="revoke some: repod token DIR --revoke")
            tokens.append(token)

    def revoke(self, token_id: str) -> Token:
        """Remove the token with this id. NotFoundError if there is none."""
        with self._changing() as tokens:
            for position, token in enumerate(tokens):
                if token.id == token_id:
                    return tokens.pop(position)
            raise NotFoundError(f"no token {token_id!a}", hint="repod token DIR --list shows them")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """Change the list under a lock on the folder, so that two commands at once lose nothing."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            tokens = list(self.all())
            yield tokens
            self.write(tokens)
        finally:
            os.close(folder)

    def write(self, tokens: list[Token]) -> None:
        """Replace the file by `tokens`."""
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(_Tokens(tokens))) + b"\n", mode=0o600)


def _parse(path: Path) -> list[Token]:
    with path.open("rb") as file:
        data = file.read(TOKENS_BYTES_MAX + 1)
    try:
        if len(data) > TOKENS_BYTES_MAX:
            raise msgspec.ValidationError("too large")
        return msgspec.json.decode(data, type=_Tokens).tokens
    except msgspec.MsgspecError as error:
        raise RepositoryError(f"{path} is damaged: {error}", hint="restore it from a backup") from error
