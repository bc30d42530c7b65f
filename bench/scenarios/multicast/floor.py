"""What would a room of 8 at 1 Gbit/s take if nothing but what nobody can leave out were done, on this machine?"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.compare import stain
from bench.lab import shell
from bench.lab.bare import GO, PACKET_BYTES, READY, SYMBOL_BYTES, Arrival, Sent
from bench.lab.classroom import random_image
from bench.lab.memory import find_memory
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.race import end
from bench.lab.rig import Rig
from bench.lab.scratch import scratch, targets_fit
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, peer_row
from bench.limits import patience_s, seconds_on_wire
from bench.scenario import Options, Outcome, Row, Scenario
from bench.simnet.theory import sent_share
from bench.site import ROOT
from bench.stats import summarise
from core.errors import OgcastError
from transports.multicast.proto.limits import MAX_BLOCK_SYMBOLS

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 1e9
LOSSES = (0.0, 0.01)
TIMES_UDPCAST = 4
"""As `multicast-gigabit` is to reach."""
GROUP = "239.77.9.9"
HOSTS = tuple(f"c{number + 1}" for number in range(CLIENTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a bare cast does beside sending and receiving."""

    label: str
    digest: bool = False
    files: Path | None = None
    """Folder of a `source.img` to read, and of targets to write to; what is done with their chunks is done too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One bare cast."""

    seconds: float
    """From the first packet until the last receiver had taken the last one; with files, from the receivers' start."""
    cpu_s: float
    """Of sender and receivers; most of what the kernel does for the switch is on the sender's account."""
    arrivals: list[Arrival]


def run(options: Options) -> Outcome:
    """As many packets as the image has symbols, and the repairs that theory asks for, from a bare sender to bare
    receivers: nothing is authenticated, put in place or asked for. Then udpcast, on the same rig."""
    limit_s = seconds_on_wire(options.size, RATE)
    rows: list[Row] = []
    with scratch(options.folder) as folder:
        files = folder if targets_fit(folder, CLIENTS, options.size) else None
        source = random_image(folder / "source.img", options.size)
        works = [Work(label="bare sockets"), Work(label="and every byte is digested", digest=True)]
        if files is not None:
            works.append(Work(label="and clients start, read, mend and write", files=files))
        for loss in LOSSES if options.loss is None else (options.loss,):
            with Rig(room(CLIENTS, rate_bits_per_s=RATE, loss=loss, talker="server")) as rig:
                rows += [_work_row(rig, work, loss, options, limit_s) for work in works]
                if not udpcast_installed():
                    rows.append(Row(label=f"loss {loss:.0%}: udpcast", note=NOT_INSTALLED))
                    continue
                options.say(f"loss {loss:.0%}: udpcast")
                peer = run_udpcast(rig, source, HOSTS, folder=files, timeout_s=patience_s(limit_s))
            row = peer_row(f"loss {loss:.0%}: udpcast", [peer], image_bytes=options.size, limit_s=limit_s)
            part_s = peer.seconds / TIMES_UDPCAST
            part = {"s": part_s, "limit s": limit_s, "ratio": part_s / limit_s}
            rows += [row, Row(label=f"{row.label}, divided by {TIMES_UDPCAST}", figures=part, note=row.note)]
    material = (
        f"packets for {options.size // MIB} MiB and its repairs, to {CLIENTS} receivers at {RATE / 1e6:.0f} Mbit/s"
    )
    return Outcome(rows=rows, material=material)


def _work_row(rig: Rig, work: Work, loss: float, options: Options, limit_s: float) -> Row:
    packets = round(-(-options.size // SYMBOL_BYTES) * sent_share(loss, CLIENTS))
    casts = []
    for number in range(options.runs):
        options.say(f"loss {loss:.0%}: {work.label}, run {number + 1} of {options.runs}")
        casts.append(_cast(rig, work, packets, loss=loss, size=options.size, timeout_s=patience_s(limit_s)))
    seconds = summarise([cast.seconds for cast in casts])
    every = [one for cast in casts for one in cast.arrivals]
    received = sum(one.bytes for one in every) / PACKET_BYTES
    return Row(
        label=f"loss {loss:.0%}: {work.label}",
        figures={
            "s": seconds.median,
            "limit s": limit_s,
            "ratio": seconds.median / limit_s,
            "highest s": seconds.high,
            "CPU s": summarise([cast.cpu_s for cast in casts]).median,
            "packets a receive": received / max(1, sum(one.trains for one in every)),
            "least that arrived %": 100 * min(one.bytes for one in every) / (packets * PACKET_BYTES),
            "trains dropped": float(sum(one.dropped for one in every)),
        },
    )


def _cast(rig: Rig, work: Work, packets: int, *, loss: float, size: int, timeout_s: float) -> Cast:
    # symbols of a block, on the mean: what is lost on the way from the sender, and on that to the receiver
    lacked = round(MAX_BLOCK_SYMBOLS * (1 - (1 - loss) ** 2))
    made = round(MAX_BLOCK_SYMBOLS * (sent_share(loss, CLIENTS) - 1))
    targets = {} if work.files is None else {host: work.files / f"bare-{host}.img" for host in HOSTS}
    read = [] if work.files is None else [str(work.files / "source.img"), str(made)]
    for target in targets.values():
        stain(target, size)
    with contextlib.ExitStack() as stack:
        sender = _start(rig, stack, "server", ["send", GROUP, str(packets), *read])
        if targets:
            stack.enter_context(find_memory(CLIENTS))
        _await_ready(sender)
        began_at = time.monotonic()
        receivers = []
        for host in HOSTS:
            more = [str(targets[host]), str(lacked)] if targets else ["digest"] if work.digest else []
            receivers.append(_start(rig, stack, host, ["receive", GROUP, *more]))
        for process in receivers:
            _await_ready(process)
        sender.send_signal(GO)
        sent = msgspec.json.decode(sender.communicate(timeout=timeout_s)[0], type=Sent)
        arrivals = [
            msgspec.json.decode(process.communicate(timeout=timeout_s)[0], type=Arrival) for process in receivers
        ]
    for target in targets.values():
        target.unlink()
    return Cast(
        seconds=max(one.last_at for one in arrivals) - (began_at if targets else sent.began_at),
        cpu_s=sent.cpu_s + sum(one.cpu_s for one in arrivals),
        arrivals=arrivals,
    )


def _start(rig: Rig, stack: contextlib.ExitStack, host: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    process = rig.start(host, [sys.executable, "-m", "bench.lab.bare", *words], cwd=ROOT, stdout=subprocess.PIPE)
    stack.callback(end, process)
    return process


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    if process.stdout.readline().decode().strip() != READY:
        raise OgcastError("a bare sender or receiver could not begin", hint="its own message says why")


SCENARIO = Scenario(
    name="multicast-floor",
    question="What would a room of 8 at 1 Gbit/s take here if only what nobody can leave out took time, and udpcast?",
    run=run,
    size=1024 * MIB,
    runs=3,
    missing=shell.missing,
)
