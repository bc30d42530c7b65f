"""repod diff: bytes shared and new."""

from __future__ import annotations

import random


def test_two_versions_share_what_did_not_change(repod, layout, publish) -> None:
    old = random.Random(1).randbytes(10 * 65536)
    publish("win", old)
    publish("win", old[:-65536] + bytes(65536))
    report = repod("diff", layout.root, "win@1", "win@2", "--json").json
    assert (report["chunks_shared"], report["chunks_new"], report["raw_bytes_new"]) == (9, 1, 65536)
    assert "chunks new" in repod("diff", layout.root, "win@1", "win@2").out
    assert repod("diff", layout.root, "win@1", "win@9").code == 2
