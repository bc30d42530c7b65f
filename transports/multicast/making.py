"""Making a cast: socket, machine, threads and keys put together as repod.toml and the option string say."""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Container, Mapping
from typing import Any

from core.errors import ChunkError
from core.ids import ChunkIndex
from images.stores import StoredChunk
from transports.base import ServedSession, ServerContext
from transports.multicast.authenticator import Protection, make_authenticator
from transports.multicast.casting import Casting, local_wall_s
from transports.multicast.evidence import interface_towards
from transports.multicast.fec.isal import find_code
from transports.multicast.frames import Frames
from transports.multicast.keys import KEY_BYTES, packet_key
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.groups import Endpoint
from transports.multicast.proto.limits import WIRE_OVERHEAD_BYTES, symbol_bytes_for
from transports.multicast.proto.options import MBIT_BYTES, CastOptions
from transports.multicast.proto.rate import RateLimits
from transports.multicast.proto.start import StartGate
from transports.multicast.sender import CastSender
from transports.multicast.settings import MulticastSettings
from transports.multicast.trains import TrainBuilder
from transports.multicast.udp.group import Group
from transports.multicast.udp.interface import Interface, find_interface, interface_of
from transports.multicast.udp.outgoing import GroupSender

__all__ = ["CastMaker"]

LINK_DEFAULT_MBIT = 1000
"""Rate where neither repod.toml nor the interface says one, and the most that is taken without being asked for."""
SOMEWHERE = "192.0.2.1"
"""An address of nobody (RFC 5737): the way to it is the default route."""
FLOOR_BYTES_PER_S = 1_000_000.0
IPV6_MORE_BYTES = 20
"""A header of IPv6 beyond one of IPv4."""


class CastMaker:
    """Makes casts for one server half. `on_event` is called on senders' threads, with the image's root and the cast's
    number."""

    def __init__(
        self,
        context: ServerContext,
        settings: MulticastSettings,
        *,
        on_event: Callable[[bytes, int, str, Mapping[str, Any]], None],
        rng: random.Random,
    ) -> None:
        self._context = context
        self._settings = settings
        self._on_event = on_event
        self._random = rng

    def make(
        self,
        session: ServedSession,
        options: CastOptions,
        interface: Interface,
        endpoint: Endpoint,
        *,
        used: Container[int],
        epoch: int,
    ) -> Casting:
        """A cast of the session's image, its thread started; `used` are the numbers of others. Raises a LocalError."""
        settings, manifest, root = self._settings, session.manifest, session.manifest.root
        family = socket.AF_INET6 if settings.ip == 6 else socket.AF_INET
        group = Group(address=endpoint.group, port=endpoint.port, source=interface.source(family))
        sock = GroupSender(group, interface, ttl=settings.ttl)
        cast_id = next(number for number in iter(lambda: self._random.randrange(1 << 16), -1) if number not in used)
        group_key = secrets.token_bytes(KEY_BYTES)
        symbol_bytes = symbol_bytes_for(min(settings.mtu, interface.mtu_bytes), ipv6=settings.ip == 6)
        cap = self._cap(interface, options)

        def locate(chunk: int) -> StoredChunk:
            return session.chunks.locate(manifest.digest(ChunkIndex(chunk)))

        def on_event(name: str, fields: Mapping[str, Any]) -> None:
            self._on_event(root, cast_id, name, fields)

        frames = Frames(locate, symbol_bytes=symbol_bytes, chunk_bytes=manifest.chunk_size)
        cast = self._machine(cast_id, manifest.chunk_count, frames, symbol_bytes, cap, on_event)
        trains = TrainBuilder(
            cast_id=cast_id,
            symbol_bytes=symbol_bytes,
            authenticator=make_authenticator(
                Protection(settings.authenticator), packet_key(group_key, cast=cast_id, epoch=epoch)
            ),
            code=find_code(),
        )
        sender = CastSender(cast, socket=sock, frames=frames, trains=trains, on_event=on_event)
        source, report_port = sock.address
        where = {"source": source, "report_port": report_port, "symbol_bytes": symbol_bytes}
        casting = Casting(
            cast=cast,
            sender=sender,
            endpoint=endpoint,
            interface=interface,
            options=options,
            gate=StartGate(options.start or settings.start, wall_s=local_wall_s()),
            on_event=self._context.on_event,
            parameters={"cast": cast_id, "epoch": epoch, **self._parameters(endpoint), **where},
            cast_id=cast_id,
            group_key=group_key,
            cap_bytes_per_s=cap,
            share_bytes_per_s=cap,
            empty_since=time.monotonic(),
        )
        sender.start()
        made = {"cast": cast_id, "image": str(manifest.ref), "group": str(endpoint), "interface": interface.name}
        self._context.on_event("cast_made", {**made, "source": source, "rate_bytes_per_s": round(cap)})
        return casting

    def _machine(
        self,
        cast_id: int,
        chunks: int,
        frames: Frames,
        symbol_bytes: int,
        cap_bytes_per_s: float,
        on_event: Callable[[str, Mapping[str, Any]], None],
    ) -> Cast:
        def stored(chunk: int) -> tuple[int, int]:
            try:
                return frames.stored(chunk)
            except ChunkError as error:
                on_event("chunk_unreadable", {"chunk": chunk, "reason": str(error)})
                raise

        return Cast(
            cast_id=cast_id,
            chunks=chunks,
            stored=stored,
            symbol_bytes=symbol_bytes,
            limits=RateLimits(
                cap_bytes_per_s=cap_bytes_per_s,
                adaptive=self._settings.adaptive,
                floor_bytes_per_s=min(FLOOR_BYTES_PER_S, cap_bytes_per_s),
            ),
            now=time.monotonic(),
            overhead_bytes=WIRE_OVERHEAD_BYTES + (IPV6_MORE_BYTES if self._settings.ip == 6 else 0),
        )

    def _parameters(self, endpoint: Endpoint) -> dict[str, Any]:
        """Of the offers of a cast, as far as settings say them."""
        settings = self._settings
        return {
            "group": endpoint.group,
            "group_port": endpoint.port,
            "source_specific": settings.ssm,
            "protection": settings.authenticator,
            "ttl": settings.ttl,
            "probe_wait_s": settings.probe_wait_s,
            "host": self._lane_host(),
        }

    def interface(self) -> Interface:
        """Where groups are sent: named, or the one of the address listened on, or that of the default route."""
        if self._context.interface:
            return find_interface(self._context.interface)
        host = self._context.host
        if host not in ("", "0.0.0.0", "::"):
            return interface_of(host)
        name = interface_towards(SOMEWHERE)
        if name is not None:
            return find_interface(name)
        for _, name in socket.if_nameindex():
            found = find_interface(name)
            if found.up and found.ipv4 and not found.ipv4.startswith("127."):
                return found
        return find_interface("lo")

    def _lane_host(self) -> str:
        host = self._context.advertise or self._context.host
        return "" if host in ("0.0.0.0", "::") else host

    def budget_bytes_per_s(self, interface: Interface) -> float:
        """Wire bytes a second of all casts."""
        mbit = self._settings.rate_mbit_per_s
        return (mbit or min(LINK_DEFAULT_MBIT, _link_mbit(interface.name) or LINK_DEFAULT_MBIT)) * MBIT_BYTES

    def _cap(self, interface: Interface, options: CastOptions) -> float:
        caps = [self.budget_bytes_per_s(interface)]
        if self._settings.cast_rate_mbit_per_s:
            caps.append(self._settings.cast_rate_mbit_per_s * MBIT_BYTES)
        if options.rate_bytes_per_s:
            caps.append(options.rate_bytes_per_s)
        return min(caps)


def _link_mbit(interface: str) -> int:
    """What the interface says its link can; 0 if it does not say."""
    try:
        with open(f"/sys/class/net/{interface}/speed", encoding="ascii") as file:
            return max(0, int(file.read()))
    except (OSError, ValueError):
        return 0
