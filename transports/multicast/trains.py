"""From what the machine decided to bytes on the wire: headers, symbols, parity and authenticators of a burst."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from transports.multicast.authenticator import PacketAuthenticator
from transports.multicast.fec.code import ErasureCode
from transports.multicast.parity import Parity
from transports.multicast.proto.burst import Burst, Control
from transports.multicast.proto.limits import BURST_PACKETS, HEADER_BYTES, TAG_BYTES
from transports.multicast.proto.packets import packet_bytes, write_headers

__all__ = ["TrainBuilder"]


class TrainBuilder:
    """Builds one burst at a time in memory of its own. Use from one thread."""

    def __init__(
        self, *, cast_id: int, symbol_bytes: int, authenticator: PacketAuthenticator, code: ErasureCode
    ) -> None:
        self._cast_id = cast_id
        self._symbol_bytes = symbol_bytes
        self._authenticator = authenticator
        self.parity = Parity(code)
        """Read only."""
        self.packet_bytes = packet_bytes(symbol_bytes)
        self._packets = np.zeros((BURST_PACKETS, self.packet_bytes), dtype=np.uint8)
        self._memory = self._packets.data.cast("B")

    def build(self, burst: Burst, frame: Callable[[], NDArray[np.uint8]]) -> memoryview:
        """The packets of `burst`, side by side, valid until the next call.

        `frame` gives the symbols of its chunk; it is called if they are needed, and may raise.
        """
        count = len(burst)
        packets = self._packets[:count]
        write_headers(
            packets,
            cast_id=self._cast_id,
            first_sequence=burst.first_sequence,
            chunk=burst.chunk,
            blocks=burst.blocks,
            symbols=burst.symbols,
            stored_bytes=burst.layout.stored_bytes,
            encoding=burst.encoding,
        )
        payload = packets[:, HEADER_BYTES : HEADER_BYTES + self._symbol_bytes]
        if burst.first_row is not None:
            payload[:] = frame()[burst.first_row : burst.first_row + count]
        else:
            self._fill_repair(burst, frame, payload)
        first = burst.first_sequence
        self._authenticator.seal(packets, np.arange(first, first + count, dtype=np.uint64))
        return self._memory[: count * self.packet_bytes]

    def control(self, control: Control) -> bytes:
        """The packet of a STATUS or PROBE."""
        packet = np.zeros((1, len(control.data) + TAG_BYTES), dtype=np.uint8)
        packet[0, : len(control.data)] = np.frombuffer(control.data, dtype=np.uint8)
        self._authenticator.seal(packet, np.array([control.sequence], dtype=np.uint64))
        return packet.tobytes()

    def _fill_repair(self, burst: Burst, frame: Callable[[], NDArray[np.uint8]], payload: NDArray[np.uint8]) -> None:
        """Originals from their rows, and parity."""
        layout, blocks, symbols = burst.layout, burst.blocks, burst.symbols
        ahead = 0 if burst.ahead is None else int(burst.ahead.max())
        original = symbols < layout.block_symbols()[blocks]
        if len(burst) and not original.any():  # but for who lacks most of a block
            payload[:] = self.parity.rows(burst.chunk, layout, blocks, symbols, frame=frame, ahead=ahead)
            return
        payload[original] = frame()[symbols[original].astype(np.int64) * layout.blocks + blocks[original]]
        if not original.all():
            rest = ~original
            payload[rest] = self.parity.rows(burst.chunk, layout, blocks[rest], symbols[rest], frame=frame, ahead=ahead)
