"""Parity for trains of repairs, made for a whole frame in one go and kept for those who ask later.

A train holds a few symbols of each block of its chunk, and a later one a few more of the same blocks. To make them
means to read the whole block whether one row is wanted or ten, so what is due later is made with what is due now. What
is kept is a fraction of its frame, which then is not needed for repairs any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import SYMBOLS_MAX, ErasureCode
from transports.multicast.proto.layout import Layout

__all__ = ["FRAME_ROWS_MAX", "PARITY_BYTES", "Parity"]

PARITY_BYTES = 18 << 20
"""Memory for parity: that of 32 chunks of 4 MiB with all rows, of many more with few. More than are sent until the last
who lack something of the first have said so."""
FRAME_ROWS_MAX = 24
"""Parities of each block that are made for whole frames, and kept; whoever needs more is served block by block."""


class Parity:
    """Parity of the chunks sent last. Use from one thread.

    Holds PARITY_BYTES at most, and the parity of the chunk asked for last.
    """

    def __init__(self, code: ErasureCode) -> None:
        self._code = code
        self._made: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        """By chunk: parity k, k + 1 … of every block."""
        self._bytes = 0
        self.readings = 0
        """Frames, or single blocks, that were read to make parity."""

    def __contains__(self, chunk: object) -> bool:
        """Whether there is parity of the chunk, so that a repair hardly needs its frame."""
        return chunk in self._made

    def rows(
        self,
        chunk: int,
        layout: Layout,
        blocks: NDArray[np.uint8],
        symbols: NDArray[np.uint8],
        *,
        frame: Callable[[], NDArray[np.uint8]],
        ahead: int,
    ) -> NDArray[np.uint8]:
        """The parity `symbols` of `blocks`, one row each; any may come twice.

        `frame` gives the chunk's symbols, and is called if they are needed. `ahead` is how many parities of a block
        will be asked for soon after these. What comes back is only read.
        """
        numbers = symbols.astype(np.int64) - layout.block_symbols()[blocks]
        last = int(numbers.max())
        made = self._made.get(chunk)
        have = 0 if made is None else len(made)
        if last >= have:
            room = min(FRAME_ROWS_MAX, SYMBOLS_MAX - -(-layout.symbols // layout.blocks))
            many = 2 * np.count_nonzero(np.bincount(blocks[numbers >= have])) >= layout.blocks
            if last >= room or not many:
                return self._some(layout, blocks, symbols, frame())
            more = self._code.encode_frame(frame(), layout.blocks, have, min(room, last + 1 + ahead) - have)
            self.readings += 1
            made = more if made is None else np.concatenate([made, more])
            self._keep(chunk, made, more.nbytes)
        assert made is not None
        rows: NDArray[np.uint8] = made[numbers, blocks]
        return rows

    def _keep(self, chunk: int, made: NDArray[np.uint8], more_bytes: int) -> None:
        """It counts as the last; the first go when there is no room."""
        self._made[chunk] = made
        self._made.move_to_end(chunk)
        self._bytes += more_bytes
        while self._bytes > PARITY_BYTES and len(self._made) > 1:
            _, oldest = self._made.popitem(last=False)
            self._bytes -= oldest.nbytes

    def _some(
        self, layout: Layout, blocks: NDArray[np.uint8], symbols: NDArray[np.uint8], frame: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Of few blocks, or far apart."""
        rows = np.empty((len(blocks), frame.shape[1]), dtype=np.uint8)
        for block in sorted(set(blocks.tolist())):
            mine = blocks == block
            wanted = symbols[mine].tolist()
            parity = sorted(set(wanted))
            made = self._code.encode(frame[block :: layout.blocks], parity)
            # round and round: where the parity ends, the same one may come twice in a train
            rows[mine] = made if parity == wanted else made[np.searchsorted(parity, wanted)]
            self.readings += 1
        return rows
