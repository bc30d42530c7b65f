"""Steering: which lanes of a session are open, what each is for, and which chunks each is to bring.

The *main* lane brings what no other does. Beside a main lane that serves a group, a *helper* stands by that takes from
peers (and gives to them): it mends gaps, and brings a late joiner the head that the group has had already. When
circumstances change, a better main lane is opened beside the present one, which then is *leaving*: it brings what it
has begun (and a little more until the new one gets something), and goes on as before if the new one fails. A group
that a client had to leave is replaced by the helper (which then *carries*) as long as peers bring something, then by
another main lane.

Chunks change hands only between lanes that have not begun with them, so nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from client.proto.claims import Claims
from client.proto.mending import Mending
from client.proto.paths import WORTH_CHUNKS, PathPolicy
from client.proto.picker import Choice, Facts, Way, pick, pick_instead
from core.wantmap import WantMap
from transports.base import Outlook

__all__ = ["FLOOD_LOSS", "FLOOD_REST_S", "Act", "Close", "Open", "Steering"]

KEEP_CHUNKS = 4
"""Until the new lane gets something, the one that is leaving has so many chunks to go on with, and no more: what it
asked for keeps memory that the new one needs."""
LEAVING_S = 1.0
"""A lane that leaves beside a group and brings nothing for so long gives up what it has begun with: on a link that the
group fills it would crawl to the end, cost the group what it takes, and be what everything waits for."""
TAIL_CHUNKS = 8
"""A group that sends still is left so many chunks at least: beside it the last one would come slowly from peers, and be
what everything waits for. One that rests is left them as well …"""
REST_S = 1.0
"""… for so long after it brought something: often what is lacking has just been asked of it."""
LOSSY = 0.005
"""A group that loses so much by itself is left everything: parity mends that in a tenth of a second, and a peer's chunk
takes longer the more is lost, two seconds at 5 %. That is over when it rests, as above …"""
LOSSY_S = 5.0
"""… or has brought nothing for so long, busy with others."""
SETTLE_S = 3.0
"""A choice is looked at again after so long, or when somebody joins who was alone."""
STALL_S = 2.0
"""Peers that carry a session and bring nothing for so long are not enough …"""
STALL_GROUP_S = 8.0
"""… or for so long, while a group goes on whose members have more every moment; a quarter where they have nothing."""
HELPERS = 2
"""So many members of a group whose machines have nothing to spare stand by for each client that takes the image from
peers: what more of them bring to its link is little, and what they lack themselves meanwhile the group waits for."""
FLOOD_LOSS = 0.4
FLOOD_S = 1.5
FLOOD_REST_S = 120.0
"""Who loses so much of a cast for so long has a link that is slower than the cast, and leaves it; for long,
since links stay as they are, and each look at the cast costs seconds in which nothing else comes."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Open a lane on its share."""

    name: str


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Close a lane; say `handle_ended` when that is done."""

    name: str
    reason: str = ""
    """Empty: it is not needed any more."""


Act = Open | Close


class Steering:
    """One session's lanes. After every `handle_…`, and some times a second, act on what `poll` returns."""

    def __init__(
        self,
        want: WantMap,
        *,
        ways: Sequence[Way],
        paths: PathPolicy,
        facts: Facts,
        auto: bool,
        now: float,
        draw: float = 0.0,
        heard: str = "",
    ) -> None:
        """`ways` in the repository's order; `paths` knows what can be taken; without `auto` its `first` is meant.

        `heard` is a group that this client, which has the choice, has listened to from its start: it is begun with, for
        what comes is here already, and looked at once more is known of the room.

        `draw`, by chance from 0 to 1, settles who of a group is called upon where some are enough.
        """
        self._want = want
        self._ways = {way.name: way for way in ways}
        self._paths = paths
        self._auto = auto
        self._draw = draw
        self._heard = heard
        self._unknown: Facts | None = None
        """What the first choice was made from, while nothing else is known."""
        self._chosen: Choice | None = None
        self._chosen_at = now
        self._chosen_alone = False
        """There was nobody else then."""
        self._mending = Mending(now)
        self._flooded_since: float | None = None
        self._arrived_at = now
        self._main_arrived_at = now
        self._closing: set[str] = set()
        self.claims = Claims(want)
        self._begun = False
        """The main lane has brought something."""
        self.facts = facts
        """What is known of the room; replace it as it changes."""
        self.busy = False
        """This machine has nothing to spare for standing by others; say so as it changes."""
        self.main: str | None = None
        self.helper: str | None = None
        self.leaving: str | None = None
        self._left_at = now
        """When the lane that leaves brought something last, or began to leave: its heir had got something by then."""

    # ------------------------------------------------------------------ what there is

    @property
    def roles(self) -> dict[str, str]:
        """Lanes and what they are for."""
        carries = "carries" if self.main is None else "helps"
        found = ((self.main, "main"), (self.helper, carries), (self.leaving, "leaves"))
        return {name: role for name, role in found if name is not None}

    @property
    def path(self) -> str | None:
        """The lane that brings what no other does."""
        return self.main or self.helper

    def stands_by(self, name: str) -> bool:
        """Whether a lane is kept while it has nothing to bring: the helper, and a group, which what peers did not bring
        goes back to without joining again."""
        return name == self.helper or self._ways[name].group

    @property
    def gives(self) -> bool:
        """Whether what is verified is kept for peers: always, but beside a group on a machine with nothing to spare, as
        long as nobody is known to need it, or others do."""
        return not self.busy or self.main is None or not self._ways[self.main].group or self._called

    @property
    def choice(self) -> Choice | None:
        """What was chosen last, and why."""
        return self._chosen

    # ------------------------------------------------------------------ what happens

    def handle_arrived(self, name: str, now: float) -> None:
        """A lane brought a good chunk, which has left the want-map."""
        self._arrived_at = now
        if name == self.leaving or (name == self.main and not self._begun):
            self._left_at = now
        if name == self.main:
            self._begun, self._main_arrived_at = True, now
        if name == self.helper:
            self._mending.handle_arrived(now)

    def handle_ended(self, name: str, now: float) -> None:
        """A lane has ended, for whatever reason; what it was to bring is left to others."""
        self.claims.close(name)
        self._closing.discard(name)
        if name == self.main:
            self.main, self.leaving = self.leaving, None
            self._flooded_since = None
            self._begun = False
            self._chosen = None
            self._arrived_at = now
        elif name == self.helper:
            self.helper = None
        elif name == self.leaving:
            self.leaving = None
        if (heir := self.path) is not None and heir not in self._closing:
            self.claims.give(heir, self.claims.unclaimed)

    # ------------------------------------------------------------------ what to do

    def poll(self, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        """What to open and close; shares have changed when it returns."""
        self.claims.tidy()
        if not len(self._want):
            return []
        acts = [*self._look_at_flood(now, outlooks), *self._choose_main(now, outlooks)]
        self._hand_over(outlooks)
        if self.leaving is not None and (not len(self.claims.share(self.leaving)) or self._crawls(now)):
            acts += self._close(self.leaving)
        acts += self._open_helper(now, outlooks)
        return [*acts, *self._mend(now, outlooks)]

    # ------------------------------------------------------------------ inside

    def _choose_main(self, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        if self.main in self._closing or self.helper in self._closing:
            return []
        choice = self._choose(now)
        if choice is None or choice.name == self.main:
            return []
        if self.main is None and self.helper is not None:
            return self._relieve(choice, now, outlooks)
        if self.main is None:
            self._arrived_at = now
            return self._open_main(choice.name, self.claims.unclaimed)
        if self.leaving is not None or choice.name == self.helper or len(self._want) < WORTH_CHUNKS:
            return []
        return self._switch(choice.name, self.main, outlooks)

    def _choose(self, now: float) -> Choice | None:
        company = self._chosen_alone and self.facts.sessions > 1
        unknown = self._unknown is self.facts
        settled = self._auto and (now < self._chosen_at + SETTLE_S or unknown) and not company
        if self._chosen is not None and settled and self._able(self._chosen.name, now):
            return self._chosen
        ways = [way for name, way in self._ways.items() if self._able(name, now)]
        found: Choice | None
        if self._auto and any(way.name == self._heard for way in ways):
            found = Choice(name=self._heard, reason=f"it came as soon as this client asked: {self._heard}")
            self._unknown = self.facts
        elif self._auto:
            found = pick(ways, self.facts)
        elif any(way.name == self._paths.first for way in ways):
            found = Choice(name=self._paths.first, reason="the method says so")
        else:
            found = pick_instead(ways, self.facts)
        self._heard = ""
        if found is None and (name := self._paths.poll_choice(list(self._ways), now)) is not None:
            found = Choice(name=name, reason="nothing else is left")
        if found is not None:
            self._chosen, self._chosen_at, self._chosen_alone = found, now, self.facts.sessions <= 1
        return found

    def _able(self, name: str, now: float) -> bool:
        return self._paths.is_able(name, now)

    def _switch(self, new: str, old: str, outlooks: Mapping[str, Outlook]) -> list[Act]:
        """Open a better lane; the present one keeps what it has begun, and a little more."""
        share = self.claims.share(old)
        begun = _begun(outlooks[old]) if old in outlooks else frozenset(share)
        rest = [chunk for chunk in share if chunk not in begun]
        keep = min(KEEP_CHUNKS, len(rest) // 2)
        if not rest[keep:]:
            return []
        self.leaving = old
        return self._open_main(new, rest[keep:])

    def _hand_over(self, outlooks: Mapping[str, Outlook]) -> None:
        """Once the new lane gets something, it is to bring all that the old one has not really begun with."""
        new, old = self.main, self.leaving
        if new is None or old is None or new not in outlooks or old not in outlooks:
            return
        idle = [chunk for chunk in self.claims.share(old) if chunk not in _begun(outlooks[old])]
        if self._begun or _begun(outlooks[new]):
            self.claims.give(new, idle)
        elif len(idle) < KEEP_CHUNKS:
            able = (chunk for chunk in self.claims.share(new) if chunk not in outlooks[new].under_way)
            self.claims.give(old, islice(able, KEEP_CHUNKS - len(idle)))

    def _crawls(self, now: float) -> bool:
        """Whether what the lane that leaves has begun with is better left to the group."""
        new, old = self.main, self.leaving
        groups = new is not None and old is not None and self._ways[new].group and not self._ways[old].group
        return groups and self._begun and now >= self._left_at + LEAVING_S

    def _relieve(self, choice: Choice, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        """Peers carry the session: leave it to a group again, or to something else when they bring nothing more."""
        assert self.helper is not None
        share = self.claims.share(self.helper)
        peers = outlooks.get(self.helper, Outlook(under_way=frozenset(share)))
        rest = [chunk for chunk in share if chunk not in peers.under_way]
        hopeless = peers.within_reach is not None and peers.within_reach.isdisjoint(share)
        stalls = len(rest) == len(share) and self._stalls(now, hopeless=hopeless)
        group = self._ways[choice.name].group
        if group and rest and (len(rest) >= WORTH_CHUNKS or stalls):
            return self._open_main(choice.name, rest)
        if group or not stalls:
            return []
        return self._close(self.helper, "peers do not have what is lacking")

    def _open_main(self, name: str, chunks: Sequence[int]) -> list[Act]:
        self.main, self._begun = name, False
        self.claims.give(name, chunks)
        return [Open(name=name)]

    def _stalls(self, now: float, *, hopeless: bool) -> bool:
        groups = [name for name, way in self._ways.items() if way.group]
        patience = STALL_GROUP_S if any(self.facts.others.get(name) for name in groups) else STALL_S
        return now >= self._arrived_at + (patience / 4 if hopeless else patience)

    def _open_helper(self, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        """Beside a group that arrives: at once where peers are needed, else when it costs this machine little."""
        if self.helper is not None or self.main is None or not self._ways[self.main].group or not self._begun:
            return []
        cast = outlooks.get(self.main)
        needed = self._called or (cast is not None and bool(cast.last) and (cast.resting or cast.loss < LOSSY))
        if self.busy and not needed:
            return []
        name = next((name for name, way in self._ways.items() if way.peers and self._able(name, now)), None)
        if name is None or name in (self.leaving, self.main) or self.main in self._closing:
            return []
        self.helper = name
        self.claims.share(name)
        return [Open(name=name)]

    def _look_at_flood(self, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        main = self.main
        if main is None or main in self._closing or main not in outlooks or outlooks[main].loss < FLOOD_LOSS:
            self._flooded_since = None
            return []
        if self._flooded_since is None:
            self._flooded_since = now
        if now < self._flooded_since + FLOOD_S or not self._others(main, now):
            return []
        reason = f"{outlooks[main].loss:.0%} of it is lost on the way: this client's link is slower"
        self._paths.handle_rest(main, now, FLOOD_REST_S, reason)
        return self._close(main, reason)

    def _others(self, name: str, now: float) -> bool:
        return any(other != name and self._able(other, now) for other in self._ways)

    def _mend(self, now: float, outlooks: Mapping[str, Outlook]) -> list[Act]:
        """Leave to the helper what the group sends last, if at all; closed, it is opened anew without what it had."""
        main, helper = self.main, self.helper
        if main is None or helper is None or main not in outlooks or helper not in outlooks or helper in self._closing:
            return []
        if not self._ways[main].group:
            return []
        share, cast, peers = self.claims.share(helper), outlooks[main], outlooks[helper]
        idle = [chunk for chunk in share if chunk not in peers.under_way]
        if peers.within_reach is not None:
            self.claims.give(main, [chunk for chunk in idle if chunk not in peers.within_reach])
        left = len(share)
        last = cast.resting or not len(self.claims.share(main))  # there is nothing else to wait for
        if self._mending.poll_return(now, left=left, resting=last):
            self.claims.give(main, [chunk for chunk in share if chunk not in _begun(peers)])
            return []
        fresh = not (cast.repeating or cast.resting)
        count = self._mending.poll(
            now, left=left, loss=cast.loss, resting=cast.resting, fresh=fresh, pace=cast.pace_bytes_per_s
        )
        if self._mending.poll_break() and left:
            return self._close(helper)
        quiet_s = now - self._main_arrived_at
        if not cast.resting or quiet_s < REST_S:
            lossy = self._mending.usual_loss >= LOSSY and quiet_s < LOSSY_S
            count = 0 if lossy else min(count, len(self.claims.share(main)) - TAIL_CHUNKS)
        if count <= 0:
            return []
        # The group goes round from the front: what lies at the end of its way back comes last.
        able = cast.last if peers.within_reach is None else cast.last & peers.within_reach
        mine = sorted((chunk for chunk in able if self.claims.owner(chunk) == main), reverse=True)
        self.claims.give(helper, mine[:count])
        return []

    @property
    def _called(self) -> bool:
        """Somebody takes the image from peers, and cannot be in the group; enough of the group stand by, by lot."""
        needy = sum(self.facts.others.get(way.name, 0) for way in self._ways.values() if way.peers)
        members = 1 + self.facts.others.get(self.main or "", 0)
        return needy > 0 and self._draw * members <= HELPERS * needy

    def _close(self, name: str, reason: str = "") -> list[Act]:
        if name in self._closing:
            return []
        self._closing.add(name)
        return [Close(name=name, reason=reason)]


def _begun(outlook: Outlook) -> frozenset[int]:
    return outlook.under_way if outlook.begun is None else outlook.begun
