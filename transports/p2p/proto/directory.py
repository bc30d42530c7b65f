"""One swarm as repod sees it: who is there, who has what, who meets whom, who takes which chunk from the origin.

Pure. The shell feeds what members say and sends what `poll_messages` returns. A member that misbehaves gets a
ProtocolError, which ends its lane; whatever it says costs a bounded amount of memory and work.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from core.errors import BusyError, ProtocolError
from transports.member.proto.maps import unpack_wants
from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.credentials import listen_key
from transports.p2p.proto.justice import Justice
from transports.p2p.proto.member import Member, Traffic
from transports.p2p.proto.messages import Announce, BadChunk, Health, SwarmMessage
from transports.p2p.proto.notices import Event, Notices
from transports.p2p.proto.outbox import Outbox
from transports.p2p.proto.reputation import Reputation
from transports.p2p.proto.rules import SwarmRules
from transports.p2p.proto.scatter import Scatter
from transports.p2p.proto.society import Society
from transports.p2p.proto.subnets import subnet_of
from transports.p2p.proto.taker import Assignment

__all__ = ["Directory"]

REJOIN_S = 5.0
"""A member whose lane broke is missed by its neighbours after so long: it may be back before."""
NEED_AT_ONCE = 16
"""Chunks of one message that are seen to; the others will be asked for again if they are needed still."""
MAX_SUBNETS = 256
ELSEWHERE = "elsewhere"
"""The subnet of all those whose own would be one too many."""


class Directory:
    """One image version. Every `handle_…` may leave messages; drain `poll_messages` and `poll_events` after it."""

    def __init__(
        self,
        *,
        chunks: int,
        digest: Callable[[int], bytes],
        secret: bytes,
        rules: SwarmRules,
        rng: random.Random,
    ) -> None:
        """`digest` is the manifest's; `secret` is 32 random bytes of this swarm."""
        self._chunks = chunks
        self._secret = secret
        self._rules = rules
        self._rng = rng
        self._members: dict[int, Member] = {}
        self._sessions: dict[str, Member] = {}
        self._scatters: dict[str, Scatter] = {}
        self._damaged: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        """The number of each session's member, for when it is back: what neighbours know of it stays true."""
        self._healths: dict[str, Health] = {}
        """What each session's client said last of itself."""
        self._reputation = Reputation()
        self._notices = Notices()
        self._out = Outbox()
        self._society = Society(self._members, self._out, rng)
        self._justice = Justice(self._members, self._society, self._notices, digest)
        self._joined = 0
        self._lacked = False
        self.traffic: dict[str, Traffic] = {}
        """By subnet, of all that ever were members."""
        self.counts = self._notices.counts

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    # ------------------------------------------------------------------ coming and going

    def handle_announce(self, session: str, announce: Announce, *, address: str, now: float) -> int:
        """A session's client is here, or begins anew. Returns its member id.

        ProtocolError for maps of another image and for a session that was banned; BusyError when the swarm is full.
        """
        self._justice.check(session)
        wanted = unpack_wants(announce.wanted, self._chunks)
        held = unpack_wants(announce.held, self._chunks) & ~wanted
        before = self._sessions.get(session)
        if before is None and len(self._members) >= self._rules.max_members:
            self.counts["limit_max_members"] += 1
            raise BusyError(f"the swarm has {self._rules.max_members} members, which is the limit")
        subnet = subnet_of(address, announce.subnet)
        if subnet not in self._scatters and len(self._scatters) >= MAX_SUBNETS:
            self.counts["limit_subnets"] += 1
            subnet = ELSEWHERE
        if before is not None and (before.subnet, before.host, before.port) != (subnet, address, announce.port):
            self._remove(before, now)
            del self._ids[session]  # its neighbours are to forget it where it was
            before = None
        member_id = self._ids.get(session, 0)
        if not member_id:
            member_id = self._ids[session] = self._new_id()
        self._joined += 1
        member = Member(
            id=member_id,
            session=session,
            key=listen_key(self._secret, member_id),
            host=address,
            port=announce.port,
            subnet=subnet,
            mode=announce.mode,
            wanted=ChunkSet(wanted),
            held=ChunkSet(held),
            order=self._joined,
            lost_by=self._reputation.take_complaints(session, before, self._members),
            discredited=self._reputation.is_doubted(session, now),
            stands_by=not wanted.any() and not held.all(),
        )
        for chunk in self._damaged:
            member.wanted.discard(chunk)
        self._members[member_id] = self._sessions[session] = member
        self._out.welcome(member_id, self._rules.welcome(member))
        for chunk, reason in self._damaged.items():
            self._out.damaged(member_id, chunk, reason)
        self._society.introduce(member)
        self._scatter(subnet).add(member)
        self._fill(subnet, now)
        self._check_stop()
        return member_id

    def handle_left(self, member_id: int, now: float, *, gone: bool) -> None:
        """A member's lane ended. Unless it is `gone` for good it may be back before its neighbours are told."""
        member = self._members.get(member_id)
        if member is None:
            return
        if gone:
            self._remove(member, now)
        elif member.here:
            member.here, member.left_at = False, now
            self._scatters[member.subnet].remove(member_id)
            self._out.drop(member_id)
            self._fill(member.subnet, now)
        self._check_stop()

    def handle_closed(self, session: str) -> None:
        """A session is over and will not come back."""
        self._justice.handle_closed(session)
        self._healths.pop(session, None)
        self._ids.pop(session, None)
        self._reputation.handle_closed(session)

    def handle_timer(self, now: float) -> None:
        """Call a few times a second."""
        for member in [each for each in self._members.values() if not each.here and now - each.left_at >= REJOIN_S]:
            self._remove(member, now)
        for subnet, scatter in self._scatters.items():
            for late in scatter.poll_expired(now):
                self.counts["assignments_expired"] += 1
                self._out.release(late.member, late.chunk)
            self._fill(subnet, now)

    # ------------------------------------------------------------------ what members say

    def handle_have(self, member_id: int, chunks: tuple[int, ...], now: float) -> None:
        """Chunks a member verified. ProtocolError for numbers beyond the image."""
        member = self._heard(member_id)
        self._check(chunks)
        for chunk in chunks:
            member.wanted.discard(chunk)
        new = [chunk for chunk in chunks if member.held.add(chunk)]
        if member.banned or not member.here:
            return
        if self._scatters[member.subnet].handle_have(member, new, now):
            self._fill(member.subnet, now)
        if not member.wanted:
            self._check_stop()

    def handle_gone(self, member_id: int, chunks: tuple[int, ...], now: float) -> None:
        """Chunks a member cannot give any more. ProtocolError for numbers beyond the image."""
        member = self._heard(member_id)
        self._check(chunks)
        gone = [chunk for chunk in chunks if member.held.discard(chunk)]
        if not member.banned and member.here:
            self._scatters[member.subnet].handle_gone(member, gone)
            self._fill(member.subnet, now)

    def handle_failed(self, member_id: int, chunks: tuple[int, ...], reason: str, now: float) -> None:
        """A member does not bring what it was assigned. ProtocolError for numbers beyond the image."""
        member = self._heard(member_id)
        self._check(chunks)
        back = self._scatters[member.subnet].give_back(member_id, chunks, now)
        self.counts["assignments_failed"] += len(back)
        self._notices.suspect(back)
        if back:
            self._notices.tell("assignment_failed", member, chunks=back[:8], reason=reason)
            self._fill(member.subnet, now)

    def handle_need(self, member_id: int, chunks: tuple[int, ...], now: float) -> None:
        """Chunks a member finds nowhere: it is introduced to somebody who has them, or takes them from the origin."""
        member = self._heard(member_id)
        self._check(chunks)
        if not member.lacks:
            return
        scatter, near = self._scatters[member.subnet], self._society.neighbours(member)
        named = [chunk for chunk in chunks[:NEED_AT_ONCE] if not scatter.is_fresh(chunk, now)]
        # Before anybody is introduced: who is met only now could not give anything yet.
        scatter.doubt(member_id, self._society.claimants(member, named), now)
        for chunk in named:
            if chunk not in member.wanted or scatter.taker_of(chunk) is not None:
                continue
            if scatter.holders(chunk) and not any(other.serves and chunk in other.held for other in near):
                holder = self._society.find_holder(member, chunk)
                if holder is not None and self._society.connect(member, holder):
                    near.append(holder)
                    continue
            if (assignment := scatter.assign_urgent(member_id, chunk, now)) is not None:
                self.counts["chunks_needed"] += 1
                self._send_assignment(assignment)
        self._fill(member.subnet, now)

    def handle_want(self, member_id: int, chunks: tuple[int, ...], now: float) -> None:
        """A member wants more than it announced. ProtocolError for numbers beyond the image."""
        member = self._heard(member_id)
        self._check(chunks)
        for chunk in chunks:
            if chunk in self._damaged:
                self._out.damaged(member_id, chunk, self._damaged[chunk])
            else:
                member.wanted.add(chunk)
        member.stopped = member.stopped and not member.lacks
        self._scatters[member.subnet].handle_want(member_id)
        self._fill(member.subnet, now)
        self._check_stop()

    def handle_bad_chunk(self, member_id: int, message: BadChunk, now: float) -> None:
        """A member accuses a neighbour. ProtocolError if what it says cannot be true."""
        accuser = self._heard(member_id)
        self._check((message.chunk,))
        if (verdict := self._justice.handle_bad_chunk(accuser, message)) is not None:
            self._ban(*verdict, now)
        self._check_credit(self._members.get(message.peer), now)
        self._society.refill(accuser)

    def handle_lost(self, member_id: int, peer: int, reason: str, now: float) -> None:
        """A neighbour does not serve a member: the two are parted, and the member gets somebody else."""
        member = self._heard(member_id)
        if (other := self._members.get(peer)) is None or not self._society.part(member, other):
            return
        self.counts["peers_lost"] += 1
        other.lost_by.add(member_id)
        self._notices.tell("peer_lost", other, said_by=member.session, reason=reason)
        self._society.refill(member)
        self._check_credit(other, now)

    def handle_health(self, member_id: int, health: Health) -> None:
        """How a member is doing."""
        member = self._heard(member_id)
        known = member.subnet in self.traffic or len(self.traffic) < MAX_SUBNETS
        # Its client counts on when its lane breaks, and may be somebody new here when it is back.
        before = self._healths.get(member.session)
        self.traffic.setdefault(member.subnet if known else ELSEWHERE, Traffic()).add(health, before)
        member.health = self._healths[member.session] = health

    def handle_done(self, member_id: int, now: float) -> None:
        """A member lacks nothing any more, whatever it said before."""
        member = self._heard(member_id)
        if len(member.wanted):
            member.wanted = ChunkSet.of(self._chunks)
            back = self._scatters[member.subnet].open_of(member_id)
            self._scatters[member.subnet].give_back(member_id, back, now)
            self._fill(member.subnet, now)
        self._check_stop()

    # ------------------------------------------------------------------ what the origin says

    def handle_damaged(self, chunk: int, reason: str, now: float) -> None:
        """A chunk cannot be read at the repository: nobody waits for the origin with it."""
        if chunk in self._damaged:
            return
        self._damaged[chunk] = reason
        for scatter in self._scatters.values():
            scatter.handle_damaged(chunk)
        for member in self._members.values():
            if member.lacks:
                self._out.damaged(member.id, chunk, reason)
        for subnet in self._scatters:
            self._fill(subnet, now)

    # ------------------------------------------------------------------ output

    def poll_messages(self) -> list[tuple[int, SwarmMessage]]:
        """(member, message), to be sent in this order."""
        return self._out.poll()

    def poll_events(self) -> list[Event]:
        """What is worth a log line: (name, fields)."""
        return self._notices.poll_events()

    def poll_expelled(self) -> list[tuple[int, str]]:
        """Members whose lanes are to be closed, and why."""
        return self._notices.poll_expelled()

    def poll_suspects(self) -> list[int]:
        """Chunks members could not take from the origin: the shell looks whether they can be read."""
        return self._notices.poll_suspects()

    def member(self, member_id: int) -> Member | None:
        """One member."""
        return self._members.get(member_id)

    def neighbours(self, member_id: int) -> frozenset[int]:
        """Whom a member may ask."""
        member = self._members.get(member_id)
        return frozenset() if member is None else frozenset(each.id for each in self._society.neighbours(member))

    @property
    def scatters(self) -> dict[str, Scatter]:
        """By subnet; to be read only."""
        return self._scatters

    @property
    def lacking(self) -> int:
        """Members that want something."""
        return sum(member.lacks for member in self)

    # ------------------------------------------------------------------ inside

    def _heard(self, member_id: int) -> Member:
        member = self._members.get(member_id)
        if member is None:
            raise ProtocolError("not announced")
        return member

    def _check(self, chunks: tuple[int, ...]) -> None:
        if max(chunks) >= self._chunks:
            raise ProtocolError(f"chunk {max(chunks)} of an image of {self._chunks}")

    def _new_id(self) -> int:
        while (member_id := self._rng.randrange(1, 1 << 32)) in self._ids.values():
            pass
        return member_id

    def _scatter(self, subnet: str) -> Scatter:
        if subnet not in self._scatters:
            scatter = Scatter(self._chunks, streams=self._rules.streams, window=self._rules.window)
            for chunk in self._damaged:
                scatter.handle_damaged(chunk)
            self._scatters[subnet] = scatter
        return self._scatters[subnet]

    def _fill(self, subnet: str, now: float) -> None:
        for assignment in self._scatters[subnet].fill(now):
            self._send_assignment(assignment)

    def _send_assignment(self, assignment: Assignment) -> None:
        self.counts["chunks_assigned"] += 1
        self._out.assign(assignment.member, assignment.chunk)

    def _remove(self, member: Member, now: float) -> None:
        self._scatters[member.subnet].remove(member.id)
        del self._members[member.id], self._sessions[member.session]
        self._out.drop(member.id)
        self._reputation.handle_left(member)
        if not member.banned:
            self._society.remove(member, banned=False)
        self._fill(member.subnet, now)
        if not any(other.subnet == member.subnet for other in self._members.values()):
            del self._scatters[member.subnet]
        self._check_stop()

    def _ban(self, member: Member, reason: str, now: float) -> None:
        self._scatters[member.subnet].remove(member.id)
        self._justice.ban(member, reason)
        self._society.remove(member, banned=True)
        self._out.drop(member.id)
        self._fill(member.subnet, now)
        self._check_stop()

    def _check_credit(self, member: Member | None, now: float) -> None:
        """Who claims to hold what nobody gets from it must not keep it from those who wait for it."""
        if member is not None and member.serves and self._society.is_forsaken(member):
            member.discredited = True
            self._reputation.discredit(member.session, now)
            self._scatters[member.subnet].discredit(member.id)
            self.counts["peers_discredited"] += 1
            self._notices.tell("peer_discredited", member, said_by=len(member.lost_by))
            self._fill(member.subnet, now)

    def _check_stop(self) -> None:
        # Who comes complete when nobody lacks anything is there for those who come later: only a change is told.
        before, self._lacked = self._lacked, self.lacking > 0
        if self._lacked or not before:
            return
        for member in self._members.values():
            if member.here and member.mode == "peer" and not member.stopped:
                member.stopped = True
                self._out.stop(member.id, "nobody lacks anything")
