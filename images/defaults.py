"""Defaults of image making. The measurement behind them: docs/decisions (chunk size and level)."""

from __future__ import annotations

__all__ = ["CHUNK_SIZE_DEFAULT", "ZSTD_LEVEL_DEFAULT"]

CHUNK_SIZE_DEFAULT = 4 * 1024 * 1024
"""Bytes of a chunk; larger images get larger chunks by themselves."""
ZSTD_LEVEL_DEFAULT = 3
