"""The scatter of one subnet: which member takes which chunk from the origin, so that the subnet gets each of them once.

Assigned is the lowest chunk that no member of the subnet can give and none is getting, inside the member's window; a
member has few at a time, so the fast get more and who comes later costs nothing. A chunk goes back to the pool when its
member goes, fails, or takes too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from transports.p2p.proto.crowd import TAKING
from transports.p2p.proto.limits import ASSIGNED_AHEAD, NEED_AFTER_S
from transports.p2p.proto.member import Member
from transports.p2p.proto.patience import Patience
from transports.p2p.proto.taker import Assignment, Taker

__all__ = ["Scatter"]

SUBNET_AHEAD = 16
"""Chunks under way to a subnet as a whole, at least: what hides the time until repod hears that one arrived."""
MEMBER_AHEAD_MAX = 8
ENDING = 1.5
"""Chunks for each member: when no more are left, a member has one under way instead of several. What comes last comes
to all members at the same time, and each has to send what it got to all others."""
LOOK_CHUNKS = 4096
"""The free chunks are looked for by so many at a time."""
NEED_AHEAD_MAX = 16
"""Chunks a member may be getting when what it needs is to be had from nobody else."""
ROTATE_CHUNKS = 1
"""Who took so many more than somebody who has none under way lets that one in."""
RESTING = 1
"""So many may wait for those who took less: when more rest, the others do not fill the origin's wire."""
SLOW_TIMES = 3.0
"""Who took so many times as long as the others takes only what nobody else can."""
LAG_TIMES = 2.0
"""Who takes so many times as long as the others is not waited for."""
FED_S = 3.0
"""A subnet that somebody feeds in another way, a group, is fed still if the last chunk of that came so lately."""
QUIET_S = 3.0
"""Who verified nothing for so long, nor for LAG_TIMES what chunks take, while others did, is given nothing: it may have
been switched off."""
ENDING_QUIET_S = 1.0
"""The same, while the last chunks are assigned: everybody waits for them."""
LATEST_S = 0.25
"""Where nobody verified anything lately, who did so within this of the last one counts as heard of."""
FRESH_PACES = 2.0
"""Others may not have heard yet of what came from the origin within NEED_AFTER_S, or so many times what a chunk takes:
the word of who got it waits behind one."""
DOUBTED_S = 60.0
"""What somebody says it holds counts no more for a neighbour that needed it all the same, for so long."""


class Scatter:
    """One subnet. Whoever changes something calls `fill` afterwards."""

    def __init__(self, chunks: int, *, streams: int, window: int) -> None:
        """At most `streams` members take chunks at a time, none further than `window` beyond its lowest missing one."""
        self._chunks = chunks
        self._streams = streams
        self._window = window
        self._takers: dict[int, Taker] = {}
        self._holders: NDArray[np.uint16] = np.zeros(chunks, dtype=np.uint16)
        self._free: NDArray[np.bool_] = np.ones(chunks, dtype=np.bool_)
        """Nobody here can give it, nobody is getting it, the origin can read it."""
        self._under_way: dict[int, int] = {}
        """Chunk to member."""
        self._damaged: set[int] = set()
        self._fresh: dict[int, float] = {}
        """Chunks that came from the origin lately, and when, in that order."""
        self._cursor = 0
        """No chunk below is free."""
        self._patience = Patience()
        self._fed_at = float("-inf")
        self.assigned = 0
        """Running total."""
        self.expired = 0

    def __len__(self) -> int:
        return len(self._takers)

    def __iter__(self) -> Iterator[Taker]:
        return iter(self._takers.values())

    @property
    def under_way(self) -> int:
        """Chunks assigned and not arrived."""
        return len(self._under_way)

    def holders(self, chunk: int) -> int:
        """Members here that can give it."""
        return int(self._holders[chunk])

    def taker_of(self, chunk: int) -> int | None:
        """Who is getting it from the origin."""
        return self._under_way.get(chunk)

    def open_of(self, member: int) -> list[int]:
        """Chunks under way to a member."""
        taker = self._takers.get(member)
        return [] if taker is None else list(taker.open)

    # ------------------------------------------------------------------ members

    def add(self, member: Member) -> None:
        """A member is here, with what it holds and wants. Known already: it said so anew."""
        self.remove(member.id)
        others = min((taker.total for taker in self._takers.values()), default=0)
        before = max(0, others - ASSIGNED_AHEAD)
        taker = self._takers[member.id] = Taker(member=member, counted=member.serves, served=before)
        if taker.counted:
            self._count(taker)

    def remove(self, member_id: int) -> None:
        """A member is gone, and what it held with it."""
        taker = self._takers.pop(member_id, None)
        if taker is None:
            return
        for chunk in taker.open:
            del self._under_way[chunk]
            self._set_free(chunk)
        self._uncount(taker)

    def discredit(self, member_id: int) -> None:
        """What a member says it holds counts no more; it may still take chunks itself."""
        taker = self._takers.get(member_id)
        if taker is not None:
            self._uncount(taker)
            taker.hushed = False

    def handle_have(self, member: Member, chunks: Iterable[int], now: float) -> bool:
        """A member verified chunks it did not hold before. True if one of them was under way to it."""
        self._age(now)
        taker = self._takers[member.id]
        taker.verified_at = now
        came, counts = False, taker.counted
        if taker.hushed:
            taker.hushed = False
            self._count(taker)
        for chunk in chunks:
            if counts:
                self._holders[chunk] += 1
                self._free[chunk] = False
                if member.stands_by:
                    self._fed_at = now
            since = taker.open.pop(chunk, None)
            if since is not None:
                came = True
                self._fresh.pop(chunk, None)
                self._fresh[chunk] = now
                del self._under_way[chunk]
                self._learn(taker, now - since)
                self._set_free(chunk)
        return came

    def handle_want(self, member_id: int) -> None:
        """A member wants chunks that it did not want before."""
        if (taker := self._takers.get(member_id)) is not None:
            taker.base = 0

    def handle_gone(self, member: Member, chunks: Iterable[int]) -> None:
        """A member held these, and does no more."""
        if self._takers[member.id].counted:
            for chunk in chunks:
                self._holders[chunk] -= 1
                self._set_free(chunk)

    def give_back(self, member_id: int, chunks: Iterable[int], now: float) -> list[int]:
        """A member does not bring chunks after all; returns which of them were under way to it."""
        taker = self._takers.get(member_id)
        if taker is None:
            return []
        back = [chunk for chunk in chunks if taker.open.pop(chunk, None) is not None]
        for chunk in back:
            del self._under_way[chunk]
            self._set_free(chunk)
        if back:
            taker.strike(now)
        return back

    def is_fresh(self, chunk: int, now: float) -> bool:
        """It came from the origin lately: who lacks it may not have heard yet that somebody here holds it. What is only
        said to be held is never fresh: who lies cannot put off that it is doubted."""
        self._age(now)
        return chunk in self._fresh

    def doubt(self, member_id: int, others: Iterable[int], now: float) -> None:
        """A member does not get from `others` what they say they hold: it is assigned what nobody else holds. One
        member's word costs no more than what it takes itself, so it is believed at once."""
        if (taker := self._takers.get(member_id)) is not None:
            taker.doubts.update(dict.fromkeys(others, now + DOUBTED_S))

    def handle_damaged(self, chunk: int) -> None:
        """The origin cannot read it: it is assigned no more."""
        self._damaged.add(chunk)
        self._free[chunk] = False

    # ------------------------------------------------------------------ assigning

    def fill(self, now: float) -> list[Assignment]:
        """Assign what can be assigned now.

        While members who stand by get the image in another way, whoever can have something from them is assigned
        nothing: the rest comes to them as well, and what the origin sends meanwhile a group would lack.
        """
        made: list[Assignment] = []
        passed: set[int] = set()
        if now < self._fed_at + FED_S:
            passed = {taker.member.id for taker in self._takers.values() if self._is_fed(taker)}
        while (taker := self._next_taker(now, passed)) is not None:
            chunk = self._pick(taker, now)
            if chunk is None:
                passed.add(taker.member.id)
            else:
                made.append(self._assign(taker, chunk, now))
        return made

    def assign_urgent(self, member_id: int, chunk: int, now: float) -> Assignment | None:
        """Assign a chunk its member can have from nobody else, whoever is said to hold it."""
        taker = self._takers.get(member_id)
        if taker is None or chunk in self._under_way or chunk in self._damaged:
            return None
        if chunk not in taker.member.wanted or not taker.member.lacks or len(taker.open) >= NEED_AHEAD_MAX:
            return None
        return self._assign(taker, chunk, now)

    def poll_expired(self, now: float) -> list[Assignment]:
        """Take back what takes too long."""
        self._advance()
        silent = self._hush(now) if self._cursor == self._chunks else frozenset()
        late: list[Assignment] = []
        for taker in self._takers.values():
            waited_s = self._patience.ending_s if taker.member.id in silent else self._patience.usual_s
            chunks = [chunk for chunk, since in taker.open.items() if now - since >= waited_s]
            if chunks:
                late += [Assignment(member=taker.member.id, chunk=chunk) for chunk in chunks]
                self.give_back(taker.member.id, chunks, now)
        self.expired += len(late)
        return late

    # ------------------------------------------------------------------ inside

    def _hush(self, now: float) -> frozenset[int]:
        """Everything was assigned: who verified nothing lately, while others did, may have been switched off. What it
        holds counts no more, so that what nobody else holds is assigned again. Who they are."""
        lacking = [taker for taker in self._takers.values() if taker.member.lacks and taker.verified_at <= now]
        latest = max((taker.verified_at for taker in lacking), default=now)
        quiet = [taker for taker in lacking if taker.is_quiet(now, self._patience.ending_s)]
        silent = [taker for taker in quiet if taker.verified_at < latest - LATEST_S]
        for taker in silent:
            if taker.counted:
                self._uncount(taker)
                taker.hushed = True
        return frozenset(taker.member.id for taker in silent)

    def _count(self, taker: Taker) -> None:
        taker.counted = True
        held = taker.member.held.flags()
        self._holders += held
        self._free &= ~held

    def _uncount(self, taker: Taker) -> None:
        if not taker.counted:
            return
        taker.counted = False
        held = taker.member.held.flags()
        self._holders -= held
        freed = held & (self._holders == 0)
        freed[list(self._under_way)] = False
        freed[list(self._damaged)] = False
        self._free |= freed
        if freed.any():
            self._cursor = min(self._cursor, int(freed.argmax()))

    def _age(self, now: float) -> None:
        fresh_s = max(NEED_AFTER_S, self._patience.times(FRESH_PACES))
        while self._fresh and now >= (oldest := next(iter(self._fresh.items())))[1] + fresh_s:
            del self._fresh[oldest[0]]

    def _next_taker(self, now: float, passed: set[int]) -> Taker | None:
        able = [taker for taker in self._takers.values() if taker.member.lacks]
        # What a member takes that serves nobody is lost to the others: it takes only when nobody else does.
        able = [taker for taker in able if taker.member.serves] or able
        quiet_s = ENDING_QUIET_S if self._is_ending(len(able)) else QUIET_S
        quiet_s = max(quiet_s, self._patience.times(LAG_TIMES))
        heard = [taker for taker in able if not taker.hushed and taker.rests_until <= now] or able
        able = [taker for taker in able if taker.verified_at >= now - quiet_s and not taker.hushed] or heard
        active = sum(1 for taker in able if taker.open)
        if len(able) > self._streams:
            streams, ahead = min(self._streams, TAKING), 1
        else:
            streams, ahead = self._streams, max(ASSIGNED_AHEAD, -(-SUBNET_AHEAD // max(1, len(able))))
            if self._is_ending(len(able)):
                ahead = 1
        waiting = [taker for taker in able if not taker.open and taker.rests_until <= now]
        least = min((taker.served for taker in waiting if taker.member.id not in passed), default=None)
        full = active >= streams
        even = len(able) <= self._streams and active > max(len(able) // 2, len(able) - 1 - RESTING)
        fewest = self._fewest(able, now, passed) if even else None
        best: Taker | None = None
        for taker in able:
            if taker.member.id in passed or taker.rests_until > now or len(taker.open) >= min(ahead, taker.ahead):
                continue
            if full and (not taker.open or (least is not None and taker.served >= least + ROTATE_CHUNKS)):
                continue
            if fewest is not None and taker.total > fewest:
                continue
            if best is None or self._rank(taker) < self._rank(best):
                best = taker
        return best

    def _is_ending(self, takers: int) -> bool:
        """All that is left to assign is ENDING chunks for each of so many members, or less. Two exchange little."""
        if takers <= 2:
            return False
        self._advance()
        left = self._free[self._cursor : self._cursor + LOOK_CHUNKS]
        return 0 < int(np.count_nonzero(left)) <= ENDING * takers

    def _pick(self, taker: Taker, now: float) -> int | None:
        wanted = taker.member.wanted
        taker.base = wanted.lowest(taker.base)
        taker.doubts = {other: until for other, until in taker.doubts.items() if now < until}
        self._advance()
        start = taker.base if taker.doubts else max(self._cursor, taker.base)
        stop = min(self._chunks, taker.base + self._window)
        if start >= stop:
            return None
        free = self._free_for(taker, start, stop) if taker.doubts else self._free[start:stop]
        found = np.flatnonzero(free & wanted.flags(start, stop))
        return start + int(found[0]) if len(found) else None

    def _free_for(self, taker: Taker, start: int, stop: int) -> NDArray[np.bool_]:
        """What is free for somebody who does not believe everybody."""
        holders = self._holders[start:stop].copy()
        for other in taker.doubts:
            if (doubted := self._takers.get(other)) is not None and doubted.counted:
                holders -= doubted.member.held.flags(start, stop)
        free: NDArray[np.bool_] = holders == 0
        free[[chunk - start for chunk in (*self._under_way, *self._damaged) if start <= chunk < stop]] = False
        return free

    def _is_fed(self, taker: Taker) -> bool:
        return taker.member.lacks and bool((taker.member.wanted.flags() & (self._holders > 0)).any())

    def _advance(self) -> None:
        while self._cursor < self._chunks:
            ahead = self._free[self._cursor : self._cursor + LOOK_CHUNKS]
            first = int(ahead.argmax())
            if ahead[first]:
                self._cursor += first
                return
            self._cursor += len(ahead)

    def _assign(self, taker: Taker, chunk: int, now: float) -> Assignment:
        taker.open[chunk] = now
        taker.verified_at = min(taker.verified_at, now)
        self._under_way[chunk] = taker.member.id
        self._free[chunk] = False
        self.assigned += 1
        return Assignment(member=taker.member.id, chunk=chunk)

    def _set_free(self, chunk: int) -> None:
        if not self._holders[chunk] and chunk not in self._under_way and chunk not in self._damaged:
            self._free[chunk] = True
            self._cursor = min(self._cursor, chunk)

    def _learn(self, taker: Taker, took_s: float) -> None:
        taker.served += 1
        taker.took_s = took_s
        taker.strikes = 0
        taker.ahead = min(taker.ahead + 1, MEMBER_AHEAD_MAX)
        self._patience.handle_arrived(took_s)

    def _rank(self, taker: Taker) -> tuple[bool, int, int, int]:
        return self._is_slow(taker), len(taker.open), taker.served, taker.member.order

    def _fewest(self, able: list[Taker], now: float, passed: set[int]) -> int:
        """Who took more than this waits for the others. Whoever takes more than its part has to send more than its part
        to the others, and they all wait for its uplink at the end; TCP does not give everybody the same. Those that
        are slow hold nobody up, and nobody is held up when more than RESTING members, or half of them, take nothing."""
        return min(
            (
                taker.total
                for taker in able
                if taker.member.id not in passed and taker.rests_until <= now and not self._lags(taker, now)
            ),
            default=0,
        )

    def _lags(self, taker: Taker, now: float) -> bool:
        """It takes longer than TCP's favour explains, also what it is taking now."""
        oldest = min(taker.open.values(), default=now)
        return self._patience.is_exceeded(max(taker.took_s, now - oldest), LAG_TIMES)

    def _is_slow(self, taker: Taker) -> bool:
        return self._patience.is_exceeded(taker.took_s, SLOW_TIMES)
