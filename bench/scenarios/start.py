"""How long from starting `ogcast` to its first request at the repository?"""

from __future__ import annotations

import os
import socket
import subprocess
import time

from bench.goals import at_most, reached_of
from bench.scenario import Options, Outcome, Row, Scenario
from bench.site import ROOT, Daemon, Site
from bench.stats import summarise

__all__ = ["SCENARIO"]

CONNECT_TIMEOUT_S = 10.0
END_TIMEOUT_S = 30.0
GOAL_S = 0.4


def run(options: Options) -> Outcome:
    """A listener stands where the repository should be; the first bytes that arrive stop the clock."""
    site = Site(options.folder)
    site.init()
    rows = []
    command = ["restore", "bench", "null:", "--method", "UNICAST-DIRECT"]
    seconds = [_one(site, command) for _ in range(options.runs + 1)][1:]  # the first is the warm-up
    facts = summarise(seconds)
    rows.append(
        Row(
            label="ogcast restore",
            figures={
                "s to first request": facts.median,
                "lowest s": facts.low,
                "highest s": facts.high,
                **at_most(facts.median, GOAL_S, unit=" s"),
            },
            note="the first bytes of the TLS greeting",
        )
    )
    return Outcome(
        rows=rows,
        material="none",
        summary=reached_of(row.figures for row in rows),
    )


def _one(site: Site, words: list[str]) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(CONNECT_TIMEOUT_S)
        daemon = Daemon(url=f"https://127.0.0.1:{listener.getsockname()[1]}", pid=os.getpid())
        began = time.perf_counter()
        process = subprocess.Popen(
            site.ogcast(daemon, *words),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(CONNECT_TIMEOUT_S)
                connection.recv(1)
                return time.perf_counter() - began
        finally:
            process.kill()
            process.wait(END_TIMEOUT_S)


SCENARIO = Scenario(
    name="start",
    question="How long from starting `ogcast` to its first request at the repository?",
    run=run,
    size=1,
    runs=9,
    goal="at most 0.4 s",
)
