"""Client half of multicast: joins a cast, says whether it arrives and why not, hands over what arrived.

The lane (TCP) and all decisions are on the session's loop; packets are taken on the receiver's own thread.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from core.arena import Arena
from core.errors import LocalError, PathError
from core.ids import SessionId
from core.wantmap import WantMap
from images.manifest import Manifest
from transports.base import ClientContext, Offer
from transports.member.calling import call
from transports.multicast.authenticator import make_authenticator
from transports.multicast.early import EarlyReceiver
from transports.multicast.evidence import interface_towards, multicast_packets
from transports.multicast.incoming import MulticastIncoming
from transports.multicast.keys import packet_key, report_key
from transports.multicast.lane import MemberLane
from transports.multicast.offer import CastOffer
from transports.multicast.proto.membership import Membership
from transports.multicast.proto.reception import Reception
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.udp.interface import Interface, find_interface
from transports.multicast.wants import flags_of

__all__ = ["MulticastClient"]

CONNECT_S = 2.0
"""Long enough for one lost packet, short enough for data to flow by other means within 3 s."""
REPORT_INTERVAL_S = 0.1
"""Until the sender says how often it wants to hear."""


class MulticastClient:
    """A `ClientTransport`."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._incoming: MulticastIncoming | None = None
        self._unmet = ""
        """What was told last."""

    def state(self) -> Mapping[str, Any]:
        """How the cast under way arrives, for events and reports; empty without one."""
        return {} if self._incoming is None else self._incoming.state()

    def fetch(
        self, offer: Offer, *, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AbstractAsyncContextManager[MulticastIncoming]:
        """See ClientTransport."""
        return self._fetch(CastOffer.read(offer), session_id, key, want, arena)

    @contextlib.asynccontextmanager
    async def _fetch(
        self, offer: CastOffer, session_id: SessionId, key: bytes, want: WantMap, arena: Arena
    ) -> AsyncIterator[MulticastIncoming]:
        if offer.unmet and offer.unmet != self._unmet:
            self._unmet = offer.unmet
            why = "whatever the option string says: it was made for another client, or repod.toml allows no other"
            self._context.on_event("notice", {"message": f"multicast: the cast has {offer.unmet}, {why}"})
        lane = await self._connect(offer, session_id, key)
        try:
            incoming = self._join(offer, lane, key, want, arena)
        except BaseException as error:
            await lane.close()
            if isinstance(error, LocalError):
                # What is wrong is on this machine, but a transport that does not need the group may still work.
                raise PathError(str(error), hint=error.hint) from error
            raise
        self._incoming = incoming
        try:
            incoming.begin()
            yield incoming
        finally:
            if self._incoming is incoming:
                self._incoming = None
            await incoming.close()

    async def _connect(self, offer: CastOffer, session_id: SessionId, key: bytes) -> MemberLane:
        host = offer.host or self._context.repository_host
        return MemberLane(*await call(host, offer.port, session_id=session_id, key=key, within_s=CONNECT_S))

    def _join(self, offer: CastOffer, lane: MemberLane, key: bytes, want: WantMap, arena: Arena) -> MulticastIncoming:
        """Socket and machine of one membership. Raises LocalError."""
        interface = self._interface(offer)
        group = Group(
            address=offer.group, port=offer.group_port, source=offer.source if offer.source_specific else None
        )
        reception = Reception(
            cast_id=offer.cast,
            member=offer.member,
            key=report_key(key, cast=offer.cast, member=offer.member),
            symbol_bytes=offer.symbol_bytes,
            wanted=flags_of(want),
            slot_bytes=arena.slot_bytes,
            slots=arena.slots,
            sequence=offer.sequence,
            interval_s=REPORT_INTERVAL_S,
            rng=random.Random(),
            now=time.monotonic(),
        )
        membership = Membership(
            now=time.monotonic(),
            probe_wait_s=offer.probe_wait_s,
            start_timeout_s=offer.start_timeout_s,
            silence_s=offer.receive_timeout_s,
            alone=self._context.alone,
        )
        early = self._early(group, interface)
        socket = early or GroupReceiver(group, interface)
        try:
            return MulticastIncoming(
                offer=offer,
                lane=lane,
                reception=reception,
                membership=membership,
                listened=early is not None,
                socket=socket,
                authenticator=make_authenticator(
                    offer.protection, packet_key(offer.key, cast=offer.cast, epoch=offer.epoch)
                ),
                interface=interface.name,
                want=want,
                arena=arena,
                on_event=self._context.on_event,
                multicast_before=multicast_packets(interface=interface.name, ipv6=":" in group.address),
            )
        except BaseException:
            socket.close()  # and so leave the group
            raise

    def _early(self, group: Group, interface: Interface) -> GroupReceiver | None:
        """The socket that has listened since the offer came, if it did so to this group on this interface."""
        early = self._context.take_early("multicast")
        if not isinstance(early, EarlyReceiver):
            return None
        if early.belongs_to(group.address, group.port, group.source, index=interface.index):
            return early.adopt(group, interface)
        early.close()
        return None

    def _interface(self, offer: CastOffer) -> Interface:
        """The one that is configured, or the one that routes to the sender."""
        name = self._context.interface or interface_towards(offer.source)
        if name is None:
            raise PathError(f"there is no route to {offer.source}", hint="choose --interface")
        return find_interface(name)
