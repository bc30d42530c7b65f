"""From a member's socket to rows of symbols: many packets at a time, checked, and put where the machine says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.contention import Contention
from transports.multicast.authenticator import PacketAuthenticator
from transports.multicast.proto.limits import HEADER_BYTES, TAG_BYTES
from transports.multicast.proto.packets import control_bytes, extend_sequences, packet_bytes, parse_headers
from transports.multicast.proto.received import Placement
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.trust import Trust, in_order
from transports.multicast.udp.incoming import TRAIN_MAX_BYTES, GroupReceiver

__all__ = ["Intake", "IntakeCounters"]

BATCH_BYTES = 4 * 1024 * 1024
"""Packets handled together: enough to make the cost of a call small; with twice as many nothing more is gained."""
CONTROLS_MAX = 256
"""Short packets taken along with a batch; more than that is a flood, and dropped."""


class IntakeCounters(msgspec.Struct):
    """Running totals of one member's socket."""

    trains: int = 0
    bytes: int = 0
    """UDP payload that came, good or not."""
    batches: int = 0
    forged: int = 0
    """Packets whose authenticator does not hold: forged, foreign, damaged."""
    trusted: int = 0
    """Packets of which the header alone was authenticated: their symbols are left to the digest of the chunk."""
    odd: int = 0
    """Packets, or trains of them, of a length or kind no packet of the cast has; short ones of a flood."""


class Intake:
    """Receives, checks and places. Use from one thread. Nothing a packet holds makes it raise."""

    def __init__(
        self,
        reception: Reception,
        *,
        socket: GroupReceiver,
        authenticator: PacketAuthenticator,
        memory: Mapping[int, NDArray[np.uint8]],
        symbol_bytes: int,
        contention: Contention | None = None,
    ) -> None:
        """`memory`: for each slot number the rows a chunk is assembled in, one symbol each; read at every batch.
        `contention` says whether this machine has anything to spare; without one it is looked at."""
        self._reception = reception
        self._socket = socket
        self._authenticator = authenticator
        self._memory = memory
        self._packet_bytes = packet_bytes(symbol_bytes)
        self._symbols = slice(HEADER_BYTES, HEADER_BYTES + symbol_bytes)
        self._batch = np.empty(BATCH_BYTES + TRAIN_MAX_BYTES, dtype=np.uint8)
        self._room = self._batch.data
        # of the shortest trains, single packets; or a flood of empty ones, which fill nothing, would never let go
        self._trains_max = BATCH_BYTES // self._packet_bytes + CONTROLS_MAX
        self._trust = Trust()
        self._contention = contention or Contention(at_first=False)
        self.counters = IntakeCounters()

    def take(self, now: float) -> bool:
        """One batch of what waits at the socket; True if it is full, so that more may wait. Raises OSError when the
        interface is gone."""
        filled, controls, full = self._receive()
        if filled:
            self._place(self._batch[:filled].reshape(-1, self._packet_bytes), now)
        for packet in controls:
            self._handle_control(packet, now)
        return full

    def _receive(self) -> tuple[int, list[bytes], bool]:
        """Packets of the usual length side by side in the batch: how many bytes; short ones; whether more may wait."""
        size, room, receive, filled = self._packet_bytes, self._room, self._socket.receive, 0
        controls: list[bytes] = []
        trains = came = 0
        while not (full := came > BATCH_BYTES or trains >= self._trains_max):
            if (length := receive(room[filled:])) is None:
                break
            trains += 1
            came += length
            if rest := length % size:
                if control_bytes(room[filled]):
                    rest = length  # nothing but short ones, however many
                self._split(room[filled + length - rest : filled + length], controls)
            filled += length - rest
        if more := self._socket.overflows():
            # the kernel counts a train it drops as one; take it for as long as those that came
            self._reception.handle_overflow(more * max(1, filled // size // max(1, trains)))
        self.counters.trains += trains
        self.counters.bytes += came
        self.counters.batches += trains > 0
        return filled, controls, full

    def _split(self, data: memoryview, controls: list[bytes]) -> None:
        """STATUS and PROBE that the kernel joined with each other, or one behind a train, by what their first byte says
        they are. What follows anything else is passed over."""
        while len(data):
            length = control_bytes(data[0])
            step = length + TAG_BYTES
            if not length or step > len(data) or len(controls) >= CONTROLS_MAX:
                self.counters.odd += 1
                return
            controls.append(bytes(data[:step]))
            data = data[step:]

    def _place(self, packets: NDArray[np.uint8], now: float) -> None:
        headers = parse_headers(packets)
        sequences = extend_sequences(headers.sequence, self._reception.highest)
        ordered = in_order(sequences, self._reception.highest)
        good, proven = self._check(packets, sequences, ordered)
        symbols = packets[:, self._symbols]
        if good is None:
            placements = self._reception.handle_packets(
                headers, now, sequences=sequences, proven=proven, ordered=ordered
            )
            self._copy(symbols, placements)
            return
        kept = np.flatnonzero(good)
        self.counters.forged += len(good) - len(kept)
        if len(kept):
            placements = self._reception.handle_packets(headers.select(kept), now, sequences=sequences[kept])
            self._copy(symbols, [some.among(kept) for some in placements])

    def _check(
        self, packets: NDArray[np.uint8], sequences: NDArray[np.int64], ordered: bool
    ) -> tuple[NDArray[np.bool_] | None, bool]:
        """Which packets are authentic, None if all are, and whether all of them was looked at: headers alone are where
        this machine is busy and there is trust, unless one of these is forged. `ordered` is as `in_order` says."""
        trust, numbers, busy = self._trust, sequences.view(np.uint64), self._contention.busy
        trust.handle_rejected(self._reception.figures.rejected)
        if ordered and trust.given and busy and self._authenticator.authenticates:
            good = self._authenticator.check_headers(packets, numbers)
            if np.logical_and.reduce(good):
                self.counters.trusted += len(good)
                return None, False
        good = self._authenticator.check(packets, numbers)
        if not np.logical_and.reduce(good):
            trust.handle_forged()
            return good, True
        if ordered:
            trust.handle_good(len(good))
        return None, True

    def _copy(self, symbols: NDArray[np.uint8], placements: Iterable[Placement]) -> None:
        """Few calls of NumPy, however many gaps losses left: packets that came side by side are copied once, others
        gathered first."""
        for some in placements:
            self._memory[some.slot][some.rows] = symbols[some.packets]

    def _handle_control(self, packet: bytes, now: float) -> None:
        row = np.frombuffer(packet, dtype=np.uint8).reshape(1, -1)
        low = np.frombuffer(packet, dtype="<u4", count=1, offset=4).astype(np.uint32)
        sequence = extend_sequences(low, self._reception.highest).astype(np.uint64)
        if not self._authenticator.check(row, sequence)[0]:
            self.counters.forged += 1
            self._trust.handle_forged()
            return
        self._reception.handle_control(packet[:-TAG_BYTES], now)
