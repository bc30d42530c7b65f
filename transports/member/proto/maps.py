"""Maps of chunks as they travel: one flag a chunk, the wire form of a want-map (core.wantmap) in one zstd frame."""

from __future__ import annotations

import numpy as np
import zstandard
from numpy.typing import NDArray

from core.errors import ProtocolError

__all__ = ["pack_wants", "unpack_wants"]


def pack_wants(wanted: NDArray[np.bool_]) -> bytes:
    """One flag a chunk, as it travels: a want-map in one zstd frame."""
    return zstandard.ZstdCompressor().compress(np.packbits(wanted, bitorder="little").tobytes())


def unpack_wants(data: bytes, chunks: int) -> NDArray[np.bool_]:
    """The flags of `chunks` chunks. ProtocolError unless it is exactly such a map."""
    size = (chunks + 7) // 8
    try:
        # The header is asked first: what decompresses to more than the map is never decompressed.
        if zstandard.get_frame_parameters(data).content_size != size:
            raise ProtocolError("want-map of another size than the image")
        flags = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if size else b""
    except zstandard.ZstdError as error:
        raise ProtocolError(f"want-map that does not decompress: {error}") from None
    bits = np.unpackbits(np.frombuffer(flags, dtype=np.uint8), bitorder="little")
    if len(flags) != size or bits[chunks:].any():
        raise ProtocolError("want-map names chunks the image does not have")
    return bits[:chunks].astype(np.bool_)
