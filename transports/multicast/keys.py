"""Keys of a cast, each for one purpose, drawn from the secrets that travel over TLS."""

from __future__ import annotations

import hmac

from blake3 import blake3

__all__ = ["KEY_BYTES", "REPORT_TAG_BYTES", "packet_key", "report_key", "report_tag", "report_tag_holds"]

KEY_BYTES = 32
REPORT_TAG_BYTES = 16

# BLAKE3's derive-key mode: a context is a constant of the program and keeps purposes apart (BLAKE3 paper, 6.2).
_PACKETS = "ogcast multicast v1: authenticator of the packets of one cast"
_REPORTS = "ogcast multicast v1: authenticator of one member's reports"


def packet_key(group_key: bytes, *, cast: int, epoch: int) -> bytes:
    """The key of a cast's packets, all members'. A cast that starts again takes a new epoch and so a new key."""
    return _derive(_PACKETS, group_key, cast, epoch)


def report_key(session_key: bytes, *, cast: int, member: int) -> bytes:
    """The key of one member's reports, known to that member and the sender only."""
    return _derive(_REPORTS, session_key, cast, member)


def report_tag(key: bytes, message: bytes | memoryview) -> bytes:
    """What a report carries to prove that it comes from the holder of `key`: keyed BLAKE3."""
    return blake3(message, key=key).digest(length=REPORT_TAG_BYTES)


def report_tag_holds(key: bytes, message: bytes | memoryview, tag: bytes | memoryview) -> bool:
    """True if `tag` is the tag of `message`; takes the same time for every wrong tag of the right length."""
    return hmac.compare_digest(report_tag(key, message), bytes(tag))


def _derive(context: str, secret: bytes, *numbers: int) -> bytes:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes, not {KEY_BYTES}")
    material = secret + b"".join(number.to_bytes(8, "little") for number in numbers)
    return blake3(material, derive_key_context=context).digest(length=KEY_BYTES)
