"""The least that any program must do for a cast: trains out of one socket, and into others. The floor under ours.

`python -m bench.lab.bare send GROUP PACKETS [FILE ROWS]`; `python -m bench.lab.bare receive GROUP [digest|FILE ROWS]`.
Both print what they found as JSON, a receiver once nothing came for a while. Before, both print `ready`: a receiver
when its socket is open, a sender when it waits for SIGUSR1 to begin. Times are those of CLOCK_MONOTONIC, which all
namespaces of a machine share.

There are no headers, no authenticator, no report, nothing is put in its place, and there is no pace but the link's:
who outruns the receivers only fills their buffers. With `digest` a receiver takes BLAKE3 of every 4 MiB, as whoever
verifies has to. With a FILE each does what no restore can leave out, by the libraries that ours uses, in one thread
and with nothing of ours around it: the receiver imports a whole client once it listens, and each chunk is multiplied by
ROWS rows of factors, as many as a block lacks symbols, digested and written; the sender reads chunks and makes ROWS
parities. Both have the shares of the processors that ours have.
"""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import client
from core import precedence
from core.bundle import bundle_path, use_bundle
from core.startup import settle
from core.timeslice import take_long_turns
from transports.multicast.proto.limits import MAX_BLOCK_SYMBOLS, symbol_bytes_for
from transports.multicast.udp.membership import dropped
from transports.multicast.udp.options import SOL_UDP, UDP_GRO, UDP_SEGMENT, enlarge_receive_buffer

__all__ = ["CHUNK_BYTES", "GO", "PACKET_BYTES", "PORT", "READY", "SYMBOL_BYTES", "Arrival", "Sent", "receive", "send"]

PORT = 7001
READY = "ready"
GO = signal.SIGUSR1
PACKET_BYTES = 1472
"""Payload: 1500 bytes with IP and UDP headers, 1514 on the cable."""
TRAIN_PACKETS = 44
SYMBOL_BYTES = symbol_bytes_for(mtu_bytes=1500)
CHUNK_BYTES = 4 << 20
SILENCE_S = 1.0
PATIENCE_S = 10.0
BUFFER_BYTES = 64 << 20
TRAIN_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a sender says."""

    began_at: float
    cpu_s: float
    """Of the process, while it sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What came to one receiver."""

    bytes: int
    """UDP payload."""
    trains: int
    """Receive calls that brought something."""
    dropped: int
    """Trains that its socket had no room for."""
    last_at: float
    """When the last of it was taken, and digested."""
    cpu_s: float
    """Of the process, while it received."""


def send(group: str, packets: int, source: str | None = None, rows: int = 0) -> Sent:
    """Send `packets` in trains, as fast as the link takes them: always the same, or what is in the file `source`, over
    and over, with `rows` parities made of each block."""
    memory = bytearray(CHUNK_BYTES + TRAIN_MAX_BYTES)
    room, prepare = memoryview(memory), _reader(memory, source, rows) if source else _nothing
    segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", PACKET_BYTES))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        signal.pthread_sigmask(signal.SIG_BLOCK, [GO])
        print(READY, flush=True)
        signal.sigwait([GO])
        began, cpu = time.monotonic(), time.process_time()
        at = CHUNK_BYTES
        for first in range(0, packets, TRAIN_PACKETS):
            if at >= CHUNK_BYTES:
                prepare()
                at = 0
            length = PACKET_BYTES * min(TRAIN_PACKETS, packets - first)
            out.sendmsg([room[at : at + length]], segment, 0, (group, PORT))
            at += length
    return Sent(began_at=began, cpu_s=time.process_time() - cpu)


def receive(group: str, *, digest: bool = False, target: str | None = None, rows: int = 0) -> Arrival:
    """Take what comes for `group` until there is silence; digest it, or do all that a client must with each chunk,
    which goes to the file `target`, round and round. The CPU time of such a client is that of its start too."""
    memory = bytearray(CHUNK_BYTES + TRAIN_MAX_BYTES)
    room = memoryview(memory)
    total = filled = trains = 0
    last_at, cpu = 0.0, 0.0 if target else time.process_time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet:
        enlarge_receive_buffer(inlet, BUFFER_BYTES)
        inlet.setsockopt(SOL_UDP, UDP_GRO, 1)
        inlet.bind((group, PORT))
        if ipaddress.ip_address(group).is_multicast:
            inlet.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4))
        print(READY, flush=True)
        handle = _writer(memory, target, rows) if target else _digester(memory) if digest else _nothing
        inlet.settimeout(PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            while True:
                length = inlet.recv_into(room[filled:])
                if not trains:
                    inlet.settimeout(SILENCE_S)
                trains += 1
                total += length
                filled += length
                if filled >= CHUNK_BYTES:
                    handle()
                    filled = 0
                last_at = time.monotonic()
        lost = dropped(inlet)
    return Arrival(bytes=total, trains=trains, dropped=lost, last_at=last_at, cpu_s=time.process_time() - cpu)


def _nothing() -> None:
    """What bare sockets do with a chunk."""


def _digester(memory: bytearray) -> Callable[[], None]:
    from blake3 import blake3

    chunk = memoryview(memory)[:CHUNK_BYTES]

    def digest() -> None:
        blake3(chunk).digest()

    return digest


def _writer(memory: bytearray, target: str, rows: int) -> Callable[[], None]:
    """Become a client, as far as importing goes; then mend, digest and write each chunk."""
    take_long_turns()
    importlib.import_module("client.restore")
    chunk, multiply, digest = memoryview(memory)[:CHUNK_BYTES], _multiplier(memory, rows), _digester(memory)
    file, at = os.open(target, os.O_WRONLY), 0
    size = os.fstat(file).st_size

    def write() -> None:
        nonlocal at
        multiply()
        digest()
        at = (at + os.pwrite(file, chunk[: size - at], at)) % size

    return write


def _reader(memory: bytearray, source: str, rows: int) -> Callable[[], None]:
    """Read the next chunk and make parity of it."""
    chunk, multiply = memoryview(memory)[:CHUNK_BYTES], _multiplier(memory, rows)
    if precedence.take():  # at such a rate ours has a larger share, and is not before all others
        precedence.yield_back()
    file, at = os.open(source, os.O_RDONLY), 0
    size = os.fstat(file).st_size

    def read() -> None:
        nonlocal at
        at = (at + os.preadv(file, [chunk], at)) % size
        multiply()

    return read


def _multiplier(memory: bytearray, rows: int) -> Callable[[], None]:
    """The product of a chunk, as it is cut for a link of 1500 bytes, with `rows` rows of factors."""
    import numpy as np

    from transports.multicast.fec.isal import find_code

    code = find_code()
    symbols = CHUNK_BYTES // SYMBOL_BYTES
    blocks = -(-symbols // MAX_BLOCK_SYMBOLS)
    frame = np.frombuffer(memory, dtype=np.uint8, count=symbols * SYMBOL_BYTES).reshape(symbols, SYMBOL_BYTES)

    def multiply() -> None:
        if rows:
            code.encode_frame(frame, blocks, 0, rows)

    return multiply


def main() -> None:
    """Run what the command line says."""
    settle()
    use_bundle(bundle_path(os.path.dirname(client.__file__)))
    match sys.argv[1:]:
        case ["send", group, packets]:
            found: Sent | Arrival = send(group, int(packets))
        case ["send", group, packets, source, rows]:
            found = send(group, int(packets), source, int(rows))
        case ["receive", group]:
            found = receive(group)
        case ["receive", group, "digest"]:
            found = receive(group, digest=True)
        case ["receive", group, target, rows]:
            found = receive(group, target=target, rows=int(rows))
        case _:
            sys.exit("what to type: send GROUP PACKETS [FILE ROWS], receive GROUP [FILE ROWS | digest]")
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
