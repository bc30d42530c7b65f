from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.errors import ManifestError, UsageError
from images.digest import digest_of
from images.signing import Signature, SigningKey, key_id, parse_signatures, verify_root

ROOT = digest_of(b"root")


def test_a_key_survives_its_pem() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_pem(key.to_pem())
    assert again.public == key.public
    assert again.sign_root(ROOT) == key.sign_root(ROOT)
    assert SigningKey.from_pem(key.to_pem().decode()).public == key.public


def test_a_signature_is_good_for_its_root_and_key_only() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    signed = (other.sign_root(ROOT), key.sign_root(ROOT))
    verify_root(ROOT, signed, key.public)
    with pytest.raises(ManifestError, match="wrong signature"):
        verify_root(digest_of(b"other"), signed, key.public)
    with pytest.raises(ManifestError, match="pinned"):
        verify_root(ROOT, signed, SigningKey.generate().public)
    with pytest.raises(ManifestError, match="not signed"):
        verify_root(ROOT, (), key.public)
    forged = Signature(key_id=key_id(key.public), signature=other.sign_root(ROOT).signature)
    with pytest.raises(ManifestError, match="wrong signature"):
        verify_root(ROOT, (forged,), key.public)


def test_records_round_trip() -> None:
    signatures = tuple(SigningKey.generate().sign_root(ROOT) for _ in range(3))
    assert parse_signatures(b"".join(signature.encode() for signature in signatures)) == signatures


@pytest.mark.parametrize("section", [b"\1", b"\1\0\x48", b"\1\0\x48\0short", b"\1\1\x48\0" + bytes(72), b"\1\0\0\0"])
def test_malformed_records_are_refused(section: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_signatures(section)


def test_keys_that_are_none_are_refused() -> None:
    exchange = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (b"", b"rubbish", exchange):
        with pytest.raises(UsageError):
            SigningKey.from_pem(pem)
    with pytest.raises(UsageError):
        verify_root(ROOT, (), b"short")
