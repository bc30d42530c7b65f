"""`ogcast` that gives wrong chunks to its peers: one byte of every frame it passes on is another one.

python -m bench.lab.liar ARGUMENTS OF OGCAST
"""

from __future__ import annotations

from core.ids import ChunkIndex
from images.stores import Encoding
from transports.p2p.shelf import Shelf
from transports.written import WrittenFrames

__all__ = ["lie", "main"]


def lie() -> None:
    """From now on every shelf of this process holds something else than it was given."""
    keep = Shelf.add

    def add(self: Shelf, chunk: ChunkIndex, frame: memoryview | bytes, encoding: Encoding) -> None:
        wrong = bytearray(frame)
        wrong[len(wrong) // 2] ^= 0xFF
        keep(self, chunk, bytes(wrong), encoding)

    def use(self: Shelf, written: WrittenFrames) -> None:
        """What lies on its target is right: it gives only what it has in memory."""

    Shelf.add = add  # type: ignore[method-assign]
    Shelf.use = use  # type: ignore[method-assign]


def main() -> None:
    """Entry point."""
    from client.__main__ import main as ogcast

    lie()
    ogcast()


if __name__ == "__main__":
    main()
