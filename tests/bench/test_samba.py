"""The peer we are measured against really serves, and goes away afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import run_pipeline
from bench.samba import samba_installed, samba_server


@pytest.mark.skipif(not samba_installed(), reason="Samba is a peer of the bench, not needed by ogcast")
def test_a_file_is_read_through_smb(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "image.zst").write_bytes(b"x" * 100_000)
    with samba_server(tmp_path / "samba", share) as samba:
        run_pipeline([samba.get("image.zst")])
