from __future__ import annotations

from bench.simnet.room import Room
from transports.multicast.proto.packets import Headers

MIB = 1 << 20


def test_batches_hold_what_was_sent_in_order() -> None:
    room, seen = Room(chunks=2, chunk_bytes=MIB, batch_s=0.01), []
    deliver = room.sender._deliver
    room.sender._deliver = lambda batch: (seen.append(batch), deliver(batch))  # type: ignore[func-returns-value]
    room.join(1)
    outcome = room.until_done()
    trains = [item for batch in seen for item in batch.items if isinstance(item, Headers)]
    assert sum(len(train) for train in trains) == outcome.totals.packets
    sequences = [int(number) for train in trains for number in train.sequence]
    assert sequences == sorted(sequences)
    assert len(seen) < 20
