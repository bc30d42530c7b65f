"""Does multicast hold its promises with up to a thousand clients, in virtual time?"""

from __future__ import annotations

import math

from bench.scenario import Options, Outcome, Row, Scenario
from bench.simnet.path import PathSettings
from bench.simnet.room import Room
from bench.simnet.theory import sent_share

__all__ = ["SCENARIO"]

MIB = 1 << 20
CHUNK_BYTES = 4 * MIB
RATE_BYTES_PER_S = 25e6
"""200 Mbit/s of the wire."""
ROOMS = ((8, 0.0), (8, 0.01), (8, 0.05), (100, 0.01), (1000, 0.01))
CROWD = 50
"""With more clients their packets are delivered in batches of 20 ms, as a busy receiver takes them."""
BATCH_S = 0.02
SEED = 1
SENT_GOAL, REPORTS_GOAL = 1.05, 1000


def run(options: Options) -> Outcome:
    """Drive the machines of a cast through rooms of different size and loss; everything is counted, nothing timed."""
    rooms = [(options.clients or 8, options.loss or 0.0)] if options.clients or options.loss else ROOMS
    chunks = math.ceil(options.size / CHUNK_BYTES)
    rows, good = [], True
    for clients, loss in rooms:
        options.say(f"{clients} clients, {loss:.1%} loss")
        room = Room(
            chunks=chunks,
            seed=SEED,
            rate_bytes_per_s=RATE_BYTES_PER_S,
            batch_s=BATCH_S if clients > CROWD else 0.0,
        )
        room.join(clients, path=PathSettings(loss=loss))
        outcome = room.until_done()
        fine = not outcome.unfinished and outcome.reports_per_s <= REPORTS_GOAL
        good = good and fine and (loss > 0.01 or outcome.sent_share <= SENT_GOAL)
        rows.append(
            Row(
                label=f"{clients} clients, {loss:.1%} loss",
                figures={
                    "symbols sent / image": outcome.sent_share,
                    "theory, k = 188": sent_share(loss, clients),
                    "all wire bytes / image": outcome.wire_share,
                    "virtual time / limit": outcome.seconds * RATE_BYTES_PER_S / outcome.image_bytes,
                    "reports a second, most": outcome.reports_per_s,
                    "reports": outcome.totals.reports,
                },
                note="" if fine else f"unfinished: {len(outcome.unfinished)}",
            )
        )
    return Outcome(rows=rows, material=f"{chunks} chunks of 4 MiB at 200 Mbit/s, seed {SEED}, virtual time", ok=good)


SCENARIO = Scenario(
    name="simnet",
    question="What do a thousand clients with independent losses cost the wire and the server, in virtual time?",
    run=run,
    size=64 * MIB,
    runs=1,
    goal="1,000 clients at 1 % loss: symbols sent at most 1.05 of the image, at most 1,000 reports a second",
)
