"""A proof is good for one key, role, session and pair of nonces."""

from __future__ import annotations

import pytest

from transports.unicast.proto.proof import CLIENT, SERVER, proof_matches, prove

WHOLE = {"client_nonce": b"c" * 32, "server_nonce": b"s" * 32, "session_id": "id"}


def test_a_proof_is_fixed_by_the_specification() -> None:
    assert prove(bytes(32), CLIENT, client_nonce=bytes(32), server_nonce=bytes(32), session_id="x").hex() == (
        "66c0ee956fbef2ffc86a9235bcf0be278c9cab33d7d000a16a25bb2f33b490f7"
    )


def test_whatever_changes_changes_the_proof() -> None:
    key = b"k" * 32
    proofs = {
        prove(key, CLIENT, **WHOLE),
        prove(b"K" * 32, CLIENT, **WHOLE),
        prove(key, SERVER, **WHOLE),
        prove(key, CLIENT, **(WHOLE | {"client_nonce": b"d" * 32})),
        prove(key, CLIENT, **(WHOLE | {"server_nonce": b"t" * 32})),
        prove(key, CLIENT, **(WHOLE | {"session_id": "other"})),
    }
    assert len(proofs) == 6


def test_proofs_are_compared_whole() -> None:
    proof = prove(b"k" * 32, CLIENT, **WHOLE)
    assert proof_matches(proof, bytes(proof))
    assert not proof_matches(proof, proof[:-1] + b"\0")


def test_a_short_key_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        prove(b"short", CLIENT, **WHOLE)
