"""Does multicast hold its promises with up to a thousand clients, in virtual time?"""

from __future__ import annotations

import math

from bench.goals import at_most, reached_of
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
REPORTS = "reports a second, most"
SENT_GOAL, REPORTS_GOAL, GOAL_LOSS = 1.05, 1000, 0.01
"""Images sent where no more than GOAL_LOSS is lost, and reports in any second."""


def run(options: Options) -> Outcome:
    """Drive the machines of a cast through rooms of different size and loss; everything is counted, nothing timed."""
    rooms = [(options.clients or 8, options.loss or 0.0)] if options.clients or options.loss else ROOMS
    chunks = math.ceil(options.size / CHUNK_BYTES)
    rows, good, most_reports = [], True, 0.0
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
        done = not outcome.unfinished
        good = good and done
        most_reports = max(most_reports, outcome.reports_per_s)
        sent = at_most(outcome.sent_share, SENT_GOAL, counts=done) if loss <= GOAL_LOSS else {}
        rows.append(
            Row(
                label=f"{clients} clients, {loss:.1%} loss",
                figures={
                    "symbols sent / image": outcome.sent_share,
                    **sent,
                    "theory, k = 188": sent_share(loss, clients),
                    "all wire bytes / image": outcome.wire_share,
                    "virtual time / limit": outcome.seconds * RATE_BYTES_PER_S / outcome.image_bytes,
                    REPORTS: outcome.reports_per_s,
                    "reports": outcome.totals.reports,
                },
                note="" if done else f"unfinished: {len(outcome.unfinished)}",
            )
        )
    verdict = at_most(most_reports, REPORTS_GOAL, unit=" a second", counts=good)
    rows.append(Row(label="most reports of all rooms", figures={REPORTS: most_reports, **verdict}))
    return Outcome(
        rows=rows,
        material=f"{chunks} chunks of 4 MiB at 200 Mbit/s, seed {SEED}, virtual time",
        ok=good,
        summary=reached_of(row.figures for row in rows),
    )


SCENARIO = Scenario(
    name="simnet",
    question="What do a thousand clients with independent losses cost the wire and the server, in virtual time?",
    run=run,
    size=64 * MIB,
    runs=1,
    goal="1,000 clients at 1 % loss: symbols sent at most 1.05 of the image, at most 1,000 reports a second",
)
