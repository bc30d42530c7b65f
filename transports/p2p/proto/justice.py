"""Justice: what becomes of accusations. Two are parted at the first word; who is banned is decided by several."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.errors import ProtocolError
from transports.p2p.proto.accusations import Accusations
from transports.p2p.proto.member import Member
from transports.p2p.proto.messages import BadChunk
from transports.p2p.proto.notices import Notices
from transports.p2p.proto.society import Society

__all__ = ["Justice"]


class Justice:
    """Works on the members of the directory; whom it finds guilty, the directory puts out."""

    def __init__(
        self, members: Mapping[int, Member], society: Society, notices: Notices, digest: Callable[[int], bytes]
    ) -> None:
        """`digest` is the manifest's."""
        self._members = members
        self._society = society
        self._notices = notices
        self._digest = digest
        self._accusations = Accusations()
        self._banned: dict[str, str] = {}
        """Session to reason; coming back does not help."""

    def check(self, session: str) -> None:
        """ProtocolError for a session that was banned."""
        if session in self._banned:
            raise ProtocolError(f"banned from the swarm: {self._banned[session]}")

    def handle_bad_chunk(self, accuser: Member, message: BadChunk) -> tuple[Member, str] | None:
        """An accusation about a chunk of the image. Returns who is to be banned, and why. ProtocolError if what it says
        cannot be true."""
        if message.expected != self._digest(message.chunk) or message.got == message.expected:
            raise ProtocolError(f"accusation about chunk {message.chunk} that cannot be true")
        accused = self._members.get(message.peer)
        if accused is None or accused.banned or accuser.banned:
            return None
        if accused not in self._society.neighbours(accuser) and accused.id not in accuser.bridges:
            self._notices.counts["accusations_ignored"] += 1
            return None
        self._notices.counts["bad_chunks"] += 1
        self._notices.tell(
            "bad_chunk",
            accused,
            chunk=message.chunk,
            expected=message.expected.hex(),
            got=message.got.hex(),
            said_by=accuser.session,
        )
        accused.lost_by.add(accuser.id)
        accuser.bridges.discard(accused.id)
        self._society.part(accuser, accused)
        alone = sum(1 for each in self._members.values() if each.here) <= 2
        # Whoever opens several sessions on one machine is one accuser, but of somebody on the same machine.
        name = "" if accuser.host == accused.host else f"at {accuser.host}"
        guilty = self._accusations.accuse(accuser.session, accused.session, name=name, alone=alone)
        if guilty is None:
            return None
        return (accused, "sends bad chunks") if guilty == accused.session else (accuser, "accuses without reason")

    def ban(self, member: Member, reason: str) -> None:
        """A member is put out for good."""
        member.banned = reason
        self._banned[member.session] = reason
        self._notices.counts["peers_banned"] += 1
        self._notices.tell("peer_banned", member, reason=reason)
        self._notices.expel(member, f"banned from the swarm: {reason}")

    def handle_closed(self, session: str) -> None:
        """A session is over and will not come back, and what it said of others goes with it."""
        self._accusations.forget(session)
        self._banned.pop(session, None)
