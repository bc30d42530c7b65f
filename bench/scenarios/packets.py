"""What does it cost to authenticate every packet of a cast?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from bench.scenario import Options, Outcome, Row, Scenario
from transports.multicast.authenticator import TAG_BYTES, CarterWegman

__all__ = ["SCENARIO"]

TRAIN_PACKETS = 44
BATCH_PACKETS = 704
PACKET_BYTES = 1472
KEY = bytes(range(32))
Packets = NDArray[np.uint8]


def run(options: Options) -> Outcome:
    """Seal a train of 44 packets, check a batch of 704; CPU time of one thread, the best of the runs."""
    packets = np.random.default_rng(1).integers(0, 256, (BATCH_PACKETS, PACKET_BYTES), dtype=np.uint8)
    rows = []
    for label, seal, check in _candidates(packets):
        options.say(label)
        sealing = _seconds(seal, options.runs) / (TRAIN_PACKETS * PACKET_BYTES) * 1e9
        checking = _seconds(check, options.runs) / (BATCH_PACKETS * PACKET_BYTES) * 1e9
        rows.append(
            Row(
                label=label,
                figures={
                    "seal CPU s/GB": sealing,
                    "check CPU s/GB": checking,
                    "one sender and 8 members at 1 Gbit/s, cores": (sealing + 8 * checking) * 0.118,
                },
            )
        )
    return Outcome(rows=rows, material=f"packets of {PACKET_BYTES} bytes, random")


def _candidates(packets: Packets) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    train = packets[:TRAIN_PACKETS].copy()
    numbers = np.arange(BATCH_PACKETS, dtype=np.uint64)
    tags = CarterWegman(KEY)
    tags.seal(packets, numbers)
    gcm = AESGCM(KEY[:16])
    nonces = [bytes(4) + number.to_bytes(8, "little") for number in range(BATCH_PACKETS)]
    views = [row[:-TAG_BYTES].data for row in packets]
    sealed = [gcm.encrypt(nonce, view, None) for nonce, view in zip(nonces, views, strict=True)]

    def gcm_seal() -> object:
        return [gcm.encrypt(nonce, view, None) for nonce, view in zip(nonces, views[:TRAIN_PACKETS], strict=False)]

    def gcm_check() -> object:
        return [gcm.decrypt(nonce, one, None) for nonce, one in zip(nonces, sealed, strict=True)]

    def each(tag: Callable[[memoryview], bytes]) -> tuple[Callable[[], object], Callable[[], object]]:
        return lambda: [tag(view) for view in views[:TRAIN_PACKETS]], lambda: [tag(view) for view in views]

    return [
        (
            "multilinear hash + AES, whole train (Carter-Wegman)",
            lambda: tags.seal(train, numbers[:TRAIN_PACKETS]),
            lambda: tags.check(packets, numbers),
        ),
        (
            "the same, symbols taken on trust",
            lambda: tags.seal(train, numbers[:TRAIN_PACKETS]),
            lambda: tags.check_headers(packets, numbers),
        ),
        ("AES-GCM, each packet", gcm_seal, gcm_check),
        ("keyed BLAKE2b, each packet", *each(lambda view: hashlib.blake2b(view, key=KEY, digest_size=8).digest())),
        ("keyed BLAKE3, each packet", *each(lambda view: blake3(view, key=KEY).digest(8))),
    ]


def _seconds(work: Callable[[], object], runs: int) -> float:
    best = float("inf")
    for _ in range(max(20, runs)):
        before = time.thread_time()
        work()
        best = min(best, time.thread_time() - before)
    return best


SCENARIO = Scenario(
    name="packets",
    question="What does it cost to authenticate every packet of a cast?",
    run=run,
    size=0,
    runs=50,
    goal="no more than a quarter of two cores for a sender and 8 members at 1 Gbit/s",
)
