"""Every number both sides of a lane agree on (docs/wire-unicast.md, "Limits")."""

from __future__ import annotations

__all__ = [
    "CREDIT_BYTES",
    "MAX_CREDITS",
    "MAX_HANDLES",
    "MAX_HANDSHAKE_BYTES",
    "MAX_HAVE_DIGESTS",
    "MAX_MAP_BYTES",
    "MAX_NEWS_CHUNKS",
    "MAX_OUTPUT_BYTES",
    "MAX_QUEUED_CHUNKS",
    "MAX_RAW_BYTES",
    "MAX_READ_CHUNKS",
    "MAX_SESSION_ID_BYTES",
    "MAX_STORED_BYTES",
    "MAX_TEXT_BYTES",
    "MAX_WORK",
    "NONCE_BYTES",
    "PROOF_BYTES",
    "VERSION",
    "credits_for",
]

VERSION = 1

CREDIT_BYTES = 64 * 1024
"""What one credit pays for, as in SMB 2.1."""

MAX_RAW_BYTES = 16 * 1024 * 1024
"""Largest chunk of any image."""

MAX_STORED_BYTES = MAX_RAW_BYTES + 64 * 1024
"""Largest stored frame, as in packs."""

MAX_READ_CHUNKS = 256
"""Chunk numbers in one READ."""

MAX_QUEUED_CHUNKS = 1024
"""Chunks asked for and not yet answered on one lane."""

MAX_CREDITS = MAX_QUEUED_CHUNKS * (MAX_RAW_BYTES // CREDIT_BYTES)
"""Largest balance: what the longest queue of the largest chunks costs."""

MAX_HANDLES = 16
"""Images open on one lane at once."""

MAX_HAVE_DIGESTS = 4096
"""Digests in one HAVE."""

MAX_MAP_BYTES = 576 * 1024
"""The map of the largest image, 2^22 chunks, when it does not compress."""

MAX_NEWS_CHUNKS = 1024
"""Chunk numbers in one NEWS or GONE."""

MAX_SESSION_ID_BYTES = 64

MAX_TEXT_BYTES = 512
"""Reasons meant for people, UTF-8."""

MAX_HANDSHAKE_BYTES = 1024
"""Payload of a frame of the handshake, a refusal included: nobody is trusted with more memory before that is over."""

MAX_OUTPUT_BYTES = 256 * 1024
"""Control replies a server holds unsent before it stops reading from that lane."""

MAX_WORK = 64
"""Lookups and writes of a capture a server holds undone before it stops reading from that lane."""

NONCE_BYTES = 32
PROOF_BYTES = 32


def credits_for(raw_bytes: int) -> int:
    """What one chunk of `raw_bytes` uncompressed bytes costs. Both sides know that length from the manifest, so
    neither can drift from the other, and a slot big enough for the chunk is what the credits stand for."""
    return max(1, -(-raw_bytes // CREDIT_BYTES))
