"""What would a room of 8 at 1 Gbit/s take if nothing but system calls were made, on this machine?"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass

import msgspec

from bench.lab import shell
from bench.lab.bare import PACKET_BYTES, READY, Arrival, Sent
from bench.lab.race import end
from bench.lab.rig import Rig
from bench.lab.topology import room
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.simnet.theory import sent_share
from bench.site import ROOT
from bench.stats import summarise
from core.errors import OgcastError
from transports.multicast.proto.limits import symbol_bytes_for

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 1e9
LOSSES = (0.0, 0.01)
GROUP = "239.77.9.9"
SYMBOL_BYTES = symbol_bytes_for(mtu_bytes=1500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One bare cast."""

    seconds: float
    """From the first packet until the last receiver had taken the last one."""
    cpu_s: float
    """Of sender and receivers; most of what the kernel does for the switch is on the sender's account."""
    arrivals: list[Arrival]


def run(options: Options) -> Outcome:
    """As many packets as the image has symbols, and the repairs that theory asks for, from a bare sender to bare
    receivers: nothing is read, authenticated, put in place, decoded or written, and no program's start is counted."""
    limit_s = seconds_on_wire(options.size, RATE)
    rows = []
    for loss in LOSSES if options.loss is None else (options.loss,):
        packets = round(-(-options.size // SYMBOL_BYTES) * sent_share(loss, CLIENTS))
        for digest in (False, True):
            label = f"loss {loss:.0%}: {'and every byte is digested' if digest else 'bare sockets'}"
            with Rig(room(CLIENTS, rate_bits_per_s=RATE, loss=loss)) as rig:
                casts = []
                for number in range(options.runs):
                    options.say(f"{label}, run {number + 1} of {options.runs}")
                    casts.append(_cast(rig, packets, digest=digest, timeout_s=patience_s(limit_s)))
            seconds = summarise([cast.seconds for cast in casts]).median
            every = [one for cast in casts for one in cast.arrivals]
            rows.append(
                Row(
                    label=label,
                    figures={
                        "s": seconds,
                        "limit s": limit_s,
                        "ratio": seconds / limit_s,
                        "CPU s": summarise([cast.cpu_s for cast in casts]).median,
                        "packets a receive": sum(one.bytes for one in every)
                        / PACKET_BYTES
                        / max(1, sum(one.trains for one in every)),
                        "least that arrived %": 100 * min(one.bytes for one in every) / (packets * PACKET_BYTES),
                        "trains dropped": float(sum(one.dropped for one in every)),
                    },
                )
            )
    material = (
        f"packets for {options.size // MIB} MiB and its repairs, to {CLIENTS} receivers at {RATE / 1e6:.0f} Mbit/s"
    )
    return Outcome(rows=rows, material=material)


def _cast(rig: Rig, packets: int, *, digest: bool, timeout_s: float) -> Cast:
    program = [sys.executable, "-m", "bench.lab.bare"]
    words = [*program, "receive", GROUP, *(["digest"] if digest else [])]
    with contextlib.ExitStack() as stack:
        receivers = []
        for number in range(CLIENTS):
            receivers.append(rig.start(f"c{number + 1}", words, cwd=ROOT, stdout=subprocess.PIPE))
            stack.callback(end, receivers[-1])
        for process in receivers:
            assert process.stdout is not None
            if process.stdout.readline().decode().strip() != READY:
                raise OgcastError("a bare receiver could not open its socket", hint="its own message says why")
        sender = rig.start("server", [*program, "send", GROUP, str(packets)], cwd=ROOT, stdout=subprocess.PIPE)
        stack.callback(end, sender)
        sent = msgspec.json.decode(sender.communicate(timeout=timeout_s)[0], type=Sent)
        arrivals = [
            msgspec.json.decode(process.communicate(timeout=timeout_s)[0], type=Arrival) for process in receivers
        ]
    return Cast(
        seconds=max(one.last_at for one in arrivals) - sent.began_at,
        cpu_s=sent.cpu_s + sum(one.cpu_s for one in arrivals),
        arrivals=arrivals,
    )


SCENARIO = Scenario(
    name="multicast-floor",
    question="What would a room of 8 at 1 Gbit/s take here if nothing but sockets, or sockets and digests, took time?",
    run=run,
    size=1024 * MIB,
    runs=3,
    missing=shell.missing,
)
