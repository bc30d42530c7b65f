"""Ed25519 keys and the signature section of a manifest."""

from __future__ import annotations

import struct
from typing import Self

import msgspec
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.errors import ManifestError, UsageError

__all__ = ["SIGNATURES_BYTES_MAX", "Signature", "SigningKey", "key_id", "parse_signatures", "verify_root"]

SIGNATURES_BYTES_MAX = 4096
KEY_ID_BYTES = 8
_ED25519 = 1
_CONTEXT = b"ogcast manifest root v1\0"
_RECORD_HEAD = struct.Struct("<BBH")
_SIGNATURE_BYTES = 64


def key_id(public: bytes) -> bytes:
    """First 8 bytes of BLAKE3-256 of a public key: says which key signed, proves nothing."""
    return blake3(public).digest()[:KEY_ID_BYTES]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One Ed25519 signature of a root digest."""

    key_id: bytes
    """8 bytes: which key made it."""
    signature: bytes
    """64 bytes."""

    def encode(self) -> bytes:
        """The record of docs/image-format.md 2."""
        return _RECORD_HEAD.pack(_ED25519, 0, KEY_ID_BYTES + _SIGNATURE_BYTES) + self.key_id + self.signature


class SigningKey:
    """The secret key of a repository. Its public half is pinned by clients."""

    __slots__ = ("_key", "public")

    public: bytes
    """32 bytes: the public key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes | str) -> Self:
        """Load an unencrypted PKCS #8 key; UsageError if it is none."""
        # brings SSH's formats; who only checks signatures, as a client does, starts 5 ms sooner without
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"signing key cannot be read: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError("signing key is not an Ed25519 key")
        return cls(key)

    def to_pem(self) -> bytes:
        """The key as PKCS #8 PEM, not encrypted: the caller keeps the file private."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign_root(self, root: bytes) -> Signature:
        """Sign the root digest of a manifest."""
        return Signature(key_id=key_id(self.public), signature=self._key.sign(_CONTEXT + root))


def parse_signatures(section: bytes | memoryview) -> tuple[Signature, ...]:
    """The Ed25519 records of a signature section; other algorithms are skipped. ManifestError if it is malformed."""
    found: list[Signature] = []
    at = 0
    while at < len(section):
        if at + _RECORD_HEAD.size > len(section):
            raise ManifestError("truncated signature record")
        algorithm, reserved, length = _RECORD_HEAD.unpack_from(section, at)
        at += _RECORD_HEAD.size
        body = bytes(section[at : at + length])
        if len(body) != length:
            raise ManifestError("truncated signature record")
        at += length
        if algorithm != _ED25519:
            continue
        if reserved or length != KEY_ID_BYTES + _SIGNATURE_BYTES:
            raise ManifestError("malformed Ed25519 signature record")
        found.append(Signature(key_id=body[:KEY_ID_BYTES], signature=body[KEY_ID_BYTES:]))
    return tuple(found)


def verify_root(root: bytes, signatures: tuple[Signature, ...], public: bytes) -> None:
    """Raise ManifestError unless one of `signatures` over `root` is by the key whose public half is `public`."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
    except ValueError:
        raise UsageError(f"signing key of {len(public)} bytes; an Ed25519 public key has 32") from None
    wanted = key_id(public)
    candidates = [signature for signature in signatures if signature.key_id == wanted]
    for signature in candidates:
        try:
            key.verify(signature.signature, _CONTEXT + root)
        except InvalidSignature:
            continue
        return
    if candidates:
        raise ManifestError("wrong signature on the manifest", hint="the manifest was changed after it was signed")
    raise ManifestError(
        "manifest is not signed by the pinned key" if signatures else "manifest is not signed",
        hint="the signing key in the client's configuration must be that of the repository",
    )
