"""A client that means harm to the room it is a member of: `python -m tests.support.rogue CONFIG URL INTERFACE KIND`.

It has what every member has: a token, a session, the key of the group, and a key for its own reports. KIND says what it
does with them until SIGTERM ends it; then it prints how many of each it sent:

`reports`: reports under every other member's number, made with its own key or cut, flipped and swollen, and reports of
its own that ask for what there is not, and claim what cannot be.
`data`: packets under the repository's address that bear a good authenticator: wrong symbols, and news of times to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np

from bench.lab.injector import frame_of, payload_of
from client.config import load_settings
from client.control import ControlClient
from transports.base import Offer
from transports.control import SessionRequest
from transports.member.handshake import enter
from transports.member.proto.maps import pack_wants
from transports.multicast.authenticator import PacketAuthenticator, make_authenticator
from transports.multicast.keys import packet_key, report_key
from transports.multicast.lane import MemberLane
from transports.multicast.offer import CastOffer
from transports.multicast.proto.lane import Join
from transports.multicast.proto.limits import TAG_BYTES, WHOLE_CHUNK
from transports.multicast.proto.packets import Probe, Status, StatusFlags, packet_bytes
from transports.multicast.proto.reports import Report, entries_of
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.udp.interface import find_interface

PER_S = 500.0
OTHERS = 8
ETH_P_ALL = 3
AHEAD = (1, 40, 70_000, 1 << 40)


def reports_of(offer: CastOffer, key: bytes, *, number: int, seen: int, chunks: int, rng: random.Random) -> bytes:
    """One report that is not true."""
    others = rng.random() < 0.6
    count = rng.choice((0, 1, 256))
    asked = entries_of(
        np.array([rng.choice((rng.randrange(chunks), chunks, (1 << 24) - 1)) for _ in range(count)], dtype=np.int64),
        np.array([rng.choice((0, 7, 200, WHOLE_CHUNK)) for _ in range(count)], dtype=np.int64),
        np.array([rng.choice((0, 1, 188, 255)) for _ in range(count)], dtype=np.int64),
    )
    span = rng.choice((seen, seen + 1000, (1 << 48) - 1))
    data = Report(
        cast_id=offer.cast if rng.random() < 0.9 else offer.cast ^ 1,
        member=rng.randrange(OTHERS) if others else offer.member,
        number=rng.choice((number, number, 0xFFFF_FFF0)) if others else number,
        as_of=rng.choice((seen, seen + 100_000, (1 << 48) - 1, 0)),
        span=span,
        received=rng.choice((0, span // 2, span)),
        overflow=rng.choice((0, span)),
        status_time_us=rng.choice((0, 1, 1 << 62)),
        missing_chunks=chunks,
        backlog=255,
        entries=asked,
    ).encode(key)
    match rng.randrange(8):
        case 0:
            return data[: rng.randrange(len(data))]
        case 1:
            return data + rng.randbytes(rng.randrange(1, 900))
        case 2:
            spot = rng.randrange(len(data))
            return data[:spot] + bytes([data[spot] ^ (1 << rng.randrange(8))]) + data[spot + 1 :]
        case 3:
            return rng.randbytes(rng.randrange(0, 1400))
    return data


def packet_of(offer: CastOffer, heard: bytes, seal: PacketAuthenticator, *, seen: int, rng: random.Random) -> bytes:
    """One packet with a good authenticator that the repository did not make."""
    size = packet_bytes(offer.symbol_bytes)
    sequence = seen + rng.choice(AHEAD)
    kind = rng.randrange(6)
    if kind == 0:
        made = Status(
            cast_id=offer.cast,
            sequence=sequence,
            time_us=1,
            pace_bytes_per_s=1,
            chunks_wanted=0,
            repairs_pending=0,
            report_interval_ms=rng.choice((1, 65535)),
            round_trip_ms=65535,
            members=65535,
            flags=rng.choice((StatusFlags.IDLE, StatusFlags.CLOSING, StatusFlags.REPEATS)),
            echo=0,
        ).encode()
    elif kind == 1:
        made = Probe(cast_id=offer.cast, sequence=sequence, number=rng.randrange(1 << 32), left=65535).encode()
    elif len(heard) == size:
        sequence = seen + rng.choice((1, 5, 40))
        head = bytearray(heard[:16])
        head[4:8] = (sequence % (1 << 32)).to_bytes(4, "little")
        if kind == 2:
            head[8:16] = rng.randbytes(8)
        made = bytes(head) + rng.randbytes(offer.symbol_bytes)
    else:
        return heard
    row = np.frombuffer(made + bytes(TAG_BYTES), dtype=np.uint8).reshape(1, -1).copy()
    seal.seal(row, np.array([sequence], dtype=np.uint64))
    return row.tobytes()


class Rogue:
    """The two ways, each on a thread of its own."""

    def __init__(self, offer: CastOffer, key: bytes, chunks: int, interface: str) -> None:
        self._offer = offer
        self._key = key
        self._chunks = chunks
        self._interface = interface
        self._rng = random.Random(3)
        self.sent: Counter[str] = Counter()
        self.stopping = threading.Event()

    def reports(self) -> None:
        """Lie to the repository."""
        family = socket.AF_INET6 if ":" in self._offer.source else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            number = 1
            while not self.stopping.wait(1 / PER_S):
                number += 1
                seen = self._offer.sequence + number
                data = reports_of(self._offer, self._key, number=number, seen=seen, chunks=self._chunks, rng=self._rng)
                with contextlib.suppress(OSError):
                    sock.sendto(data, (self._offer.source, self._offer.report_port))
                    self.sent["reports"] += 1

    def data(self) -> None:
        """Lie to the other members."""
        offer = self._offer
        seal = make_authenticator(offer.protection, packet_key(offer.key, cast=offer.cast, epoch=offer.epoch))
        group = Group(address=offer.group, port=offer.group_port, source=offer.source)
        with (
            GroupReceiver(group, find_interface(self._interface)),  # a switch that snoops is to give it all of it
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire,
        ):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.bind((self._interface, ETH_P_ALL))
            wire.settimeout(0.1)
            own = wire.getsockname()[4]
            while not self.stopping.wait(1 / PER_S):
                try:
                    frame = wire.recv(4096)
                except TimeoutError:
                    continue
                place = payload_of(frame)
                if place is None or frame[6:12] == own:
                    continue
                heard = frame[place[0] : place[1]]
                if len(heard) < 16 or heard[2:4] != offer.cast.to_bytes(2, "little"):
                    continue
                seen = int.from_bytes(heard[4:8], "little")
                packet = packet_of(offer, heard, seal, seen=seen, rng=self._rng)
                with contextlib.suppress(OSError):
                    wire.send(frame_of(frame, packet, own))
                    self.sent["data"] += 1


def tell(line: str) -> None:
    """To whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Entry point."""
    config, url, interface, kind = sys.argv[1:5]
    settings = load_settings(Path(config), repo=url, interface=interface)
    async with ControlClient(settings) as control:
        session = await control.open_session(SessionRequest(image="img", method="MULTICAST-DIRECT", host="rogue"))
        found = next(offer for offer in session.offers if offer.transport == "multicast")
        offer = CastOffer.read(Offer(transport="multicast", parameters=found.parameters))
        reader, writer = await asyncio.open_connection(settings.host, offer.port)
        await enter(reader, writer, session_id=session.session, key=session.key)
        lane = MemberLane(reader, writer)
        chunks = session.image.chunks
        lane.send(Join(wanted=pack_wants(np.ones(chunks, dtype=np.bool_))))
        key = report_key(session.key, cast=offer.cast, member=offer.member)
        rogue = Rogue(offer, key, chunks, interface)
        signal.signal(signal.SIGTERM, lambda number, frame: rogue.stopping.set())
        tell("ready")
        await asyncio.to_thread(rogue.reports if kind == "reports" else rogue.data)
        await lane.close()
        tell(json.dumps(rogue.sent))


if __name__ == "__main__":
    asyncio.run(main())
