"""The asking side of a swarm, as a pure machine: which chunk is asked of which neighbour, or of the origin, and when.

Repod decides who takes what from the origin (`handle_assigned`); everything else is decided here. A chunk is free,
asked (of one source, near the end perhaps of two), held (delivered and not judged yet), done, or lost. After every
`handle_*` call, drain `poll_ask` and the other `poll_*` methods.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.wantmap import WantMap
from transports.p2p.proto.asking import Asking, SwarmFigures
from transports.p2p.proto.assignments import Assignments
from transports.p2p.proto.crowd import CROWD
from transports.p2p.proto.holders import Holders
from transports.p2p.proto.needs import Needs
from transports.p2p.proto.picker import Phase, Picker
from transports.p2p.proto.requests import ORIGIN, Request, Requests
from transports.p2p.proto.standing import Standing
from transports.p2p.proto.turns import Turns

__all__ = ["DUPLICATE_SHARE", "ORIGIN", "PIPELINE", "Swarm"]

PIPELINE = 2
"""Chunks asked of one neighbour at a time: while one comes, the next is already asked for."""
ORIGIN_SLOTS = 2
"""Slots that neighbours' chunks leave alone, so that the origin's wire is never idle for want of memory."""
DUPLICATE_SHARE = 0.02
"""Of the image's chunks: what may be asked for twice."""
DUPLICATES_LEAST = 2
MOVE_AFTER_S = 0.1
"""A request that waits for so long is taken back when somebody who has nothing to do holds the chunk as well."""
REJECTIONS_MAX = 3
"""Times a chunk of the origin may turn out wrong before it is given up."""


class Swarm:
    """One client's share in one swarm. `want` belongs to the session."""

    def __init__(self, want: WantMap, *, seed: int, window: int, slots: int, rng: random.Random, now: float) -> None:
        """`seed` tells peers apart; `window` in chunks; `slots` of the arena in all."""
        self._want = want
        self.holders = Holders(want.count)
        self.picker = Picker(want, self.holders, seed=seed, window=window)
        self.standing = Standing()
        self.requests = Requests()
        self.turns = Turns(self.picker, self.holders, self.requests)
        self._rng = rng
        self._seed = seed
        self._reserved_slots = min(ORIGIN_SLOTS, max(0, slots - ORIGIN_SLOTS))
        self._assigned = Assignments(self.picker, now)
        self._bridges: set[int] = set()
        self._repod = True
        self._held: dict[int, int] = {}
        self._rejections: dict[int, int] = {}
        self._lost: dict[int, str] = {}
        self._cancels: deque[Asking] = deque()
        self._needs = Needs(self.requests.pace)
        self._slow: deque[int] = deque()
        self._spares_left = max(DUPLICATES_LEAST, int(DUPLICATE_SHARE * len(want)))
        self._arrival = now
        self.figures = SwarmFigures()

    # ------------------------------------------------------------------ what there is

    @property
    def under_way(self) -> int:
        """Chunks asked for and not here yet."""
        return self.requests.count

    @property
    def in_hand(self) -> frozenset[int]:
        """Chunks that were delivered and not judged yet."""
        return frozenset(self._held)

    @property
    def finished(self) -> bool:
        """Nothing is lacking that somebody could give, and nothing is in hand."""
        return not self._held and len(self._want) <= len(self.lost)

    @property
    def lost(self) -> dict[int, str]:
        """Chunks nobody can give and that are still wanted, with the reason."""
        return {chunk: reason for chunk, reason in self._lost.items() if chunk in self._want}

    @property
    def quiet_since(self) -> float:
        """When something arrived last."""
        return self._arrival

    @property
    def has_origin(self) -> bool:
        """The origin's lane is open."""
        return ORIGIN in self.requests

    # ------------------------------------------------------------------ sources

    def handle_source(self, source: int, now: float, *, bridge: bool = False) -> None:
        """A neighbour's lane, or the origin's, is open. A bridge is used only while repod is out of reach."""
        self.requests.join(source, now)
        if source != ORIGIN:
            self.holders.join(source)
            if bridge:
                self._bridges.add(source)

    def handle_source_gone(self, source: int, now: float) -> None:
        """Its lane ended: what was asked of it is asked elsewhere."""
        for request in self.requests.leave(source):
            self._free(request)
        if source == ORIGIN:
            self._assigned.give_back(list(self._assigned))
            return
        self.holders.leave(source)
        self.turns.forget(source)
        self._bridges.discard(source)
        self.standing.forget(source)

    def handle_map(self, peer: int, held: NDArray[np.bool_]) -> None:
        """All a neighbour holds."""
        if peer in self.requests:
            self.holders.replace(peer, held)
            self._find_again([chunk for chunk in self._lost if held[chunk]])

    def handle_news(self, peer: int, chunks: Iterable[int]) -> None:
        """What it holds since."""
        if peer in self.holders:
            self.holders.add(peer, chunks)
            self._find_again(chunks)

    def handle_gone(self, peer: int, chunks: Iterable[int]) -> None:
        """What it holds no more."""
        if peer in self.holders:
            self.holders.remove(peer, chunks)

    # ------------------------------------------------------------------ repod

    def handle_repod(self, reachable: bool) -> None:
        """The member lane is up, or down."""
        self._repod = reachable
        if not reachable:
            self._assigned.clear()

    def handle_assigned(self, chunks: Iterable[int], now: float) -> None:
        """Take these from the origin."""
        take = {chunk: chunk in self._want and self.picker.phase(chunk) < Phase.HELD for chunk in chunks}
        self._needs.handle_assigned(take)
        self._assigned.add([chunk for chunk in take if take[chunk]], [chunk for chunk in take if not take[chunk]], now)

    def handle_released(self, chunks: Iterable[int]) -> None:
        """Not to be taken from the origin any more."""
        for chunk in chunks:
            if self._assigned.remove(chunk):
                for request in self.requests.of(chunk):
                    if request.source == ORIGIN and not request.begun:
                        self._cancel(request)

    def handle_damaged(self, chunk: int, reason: str) -> None:
        """Repod cannot read it; neighbours may still have it."""
        self._assigned.remove(chunk)
        if not self.holders.rarity[chunk]:
            self._lose(chunk, reason)

    # ------------------------------------------------------------------ answers

    def handle_begun(self, source: int, chunk: int) -> None:
        """The first bytes of a chunk are there."""
        for request in self.requests.of(chunk):
            if request.source == source:
                request.begun = True

    def handle_arrived(self, source: int, chunk: int, now: float) -> bool:
        """A whole chunk is there. False: nobody needs it any more."""
        self.requests.arrived(source, chunk, now)
        self._needs.handle_arrival(now - self._arrival)
        self._arrival = now
        if self.picker.phase(chunk) >= Phase.HELD or chunk not in self._want:
            self.figures.duplicates += 1
            return False
        for request in self.requests.of(chunk):
            self._cancel(request)
        self.picker.set_phase(chunk, Phase.HELD)
        self._held[chunk] = source
        return True

    def handle_refused(self, source: int, chunk: int, now: float) -> None:
        """The source cannot give it (now)."""
        request = self.requests.pop(source, chunk)
        if source == ORIGIN:
            self._assigned.give_back([chunk])  # repod looks why, and says so to all if nobody can have it
        elif self.holders.holds(source, chunk):
            self.holders.remove(source, [chunk])
            if self.standing.refuse(source, now):
                self._slow.append(source)
        if request is not None:
            self._free(request)

    def handle_returned(self, source: int, chunk: int) -> None:
        """A request was taken back before its bytes were sent, or nobody wanted them when they came."""
        request = self.requests.pop(source, chunk)
        if request is not None:
            if request.spare:
                self._spares_left += 1
            self._free(request)

    def accept(self, chunk: int) -> bool:
        """It was good. True if repod waits for it: it was an assignment."""
        source = self._held.pop(chunk, None)
        self.picker.set_phase(chunk, Phase.DONE)
        self._lost.pop(chunk, None)
        assigned = self._assigned.remove(chunk)
        if source is not None and source != ORIGIN:
            self.standing.praise(source)
        return assigned

    def reject(self, chunk: int, source: int, reason: str) -> bool:
        """It was not what its digest says. True when that got a neighbour banned."""
        self._held.pop(chunk, None)
        self.picker.set_phase(chunk, Phase.FREE)
        if source != ORIGIN:
            return self.standing.ban(source)
        count = self._rejections[chunk] = self._rejections.get(chunk, 0) + 1
        if count >= REJECTIONS_MAX:
            self._assigned.remove(chunk)
            self._lose(chunk, f"{reason} ({count} times)")
        return False

    # ------------------------------------------------------------------ time

    def handle_timer(self, now: float, *, unheard: bool = False) -> None:
        """Call about ten times a second. `unheard`: a neighbour has not said what it holds, and should have."""
        blamed: set[int] = set()
        for request, guilty in self.requests.overdue(now):
            self.figures.expired += 1
            (blamed.add if guilty else self.standing.doubt)(request.source)
            self._cancel(request)
            self.picker.give_up(request.chunk)
        for chunk in self.requests.unanswered(now, self._assigned):
            self.picker.give_up(chunk)
        if not self.has_origin:
            self._assigned.handle_no_origin(now)
        blamed.update(self.requests.stuck(now))
        self._slow.extend(peer for peer in blamed if self.standing.blame(peer, now))
        self._look_for_needs(now, unheard=unheard)

    def handle_wanted(self, chunks: Iterable[int]) -> None:
        """The want-map has these since; others had them, or nobody."""
        for chunk in chunks:
            if self.picker.phase(chunk) is Phase.DONE and chunk not in self._held:
                # what was taken back is answered for first, by its bytes or by word that they were dropped
                self.picker.set_phase(chunk, Phase.ASKED if self.requests.of(chunk) else Phase.FREE)
        self.picker.look_again()

    def handle_change(self) -> None:
        """The want-map changed: take back what is not wanted any more."""
        for chunk in self.requests.chunks():
            if chunk not in self._want:
                for request in self.requests.of(chunk):
                    self._cancel(request)
                if self.picker.phase(chunk) is Phase.ASKED:
                    self.picker.set_phase(chunk, Phase.DONE)
        done = [chunk for chunk in self._assigned if chunk not in self._want and chunk not in self._held]
        if done:
            self._assigned.give_back(done)

    # ------------------------------------------------------------------ output

    def poll_ask(self, now: float, free_slots: int) -> Asking | None:
        """The next request to make; `free_slots` of memory are there for what is asked from now on."""
        if free_slots <= 0:
            return None
        found = self._ask_origin()
        if found is None and self._has_memory(free_slots):
            if self.turns.has_come:
                found = self.turns.take(self._able(now), now, spares=self._spares_left > 0)
            if found is None and len(self.holders) <= CROWD:
                found = self._ask_neighbour(now)
        if found is not None:
            spare = found.source != ORIGIN and bool(self.requests.of(found.chunk))
            self._spares_left -= spare
            self.figures.spares += spare
            at_once = len(self.holders) > CROWD
            self.requests.add(found.source, found.chunk, now, spare=spare, at_once=at_once)
            self.picker.set_phase(found.chunk, Phase.ASKED)
        return found

    def poll_turn(self, now: float, free_slots: int) -> int | None:
        """In a crowd: a neighbour to ask for a turn. `turns` has the answer when the turn has come."""
        if len(self.holders) <= CROWD or not self._has_memory(free_slots) or not self.turns.is_short(now):
            return None
        able = self._able(now)
        self._rng.shuffle(able)
        return self.turns.ask(able, now, spares=self._spares_left > 0)

    def poll_cancel(self) -> Asking | None:
        """A request to take back."""
        return self._cancels.popleft() if self._cancels else None

    def poll_needs(self) -> list[int]:
        """Chunks to ask repod for."""
        due = self._needs.poll()
        self.figures.needs += len(due)
        return due

    def poll_failed(self) -> list[int]:
        """Assignments given back."""
        failed = self._assigned.poll_failed()
        self.figures.returned += len(failed)
        return failed

    def poll_slow(self) -> int | None:
        """A neighbour that was given a rest: repod should know."""
        return self._slow.popleft() if self._slow else None

    # ------------------------------------------------------------------ inside

    def _ask_origin(self) -> Asking | None:
        if not self.has_origin:
            return None
        for chunk in self._assigned:
            if self.picker.usable(chunk) and not self.requests.is_asked(ORIGIN, chunk):
                return Asking(source=ORIGIN, chunk=chunk)
        return None

    def _ask_neighbour(self, now: float) -> Asking | None:
        """The neighbour with the least under way first: every uplink of the room is to be busy."""
        able = [peer for peer in self._able(now) if self.requests.under_way(peer) < PIPELINE]
        self._rng.shuffle(able)
        able.sort(key=lambda peer: (self.requests.under_way(peer), self.requests.is_waiting(peer)))
        for peer in able:
            if self.requests.is_waiting(peer) and self.requests.under_way(peer):
                continue  # what is asked of it waits already
            chunk = self.picker.choose(peer)
            if chunk is not None and not self.requests.is_asked(peer, chunk):
                return Asking(source=peer, chunk=chunk)
        return self._ask_again(able, now)

    def _has_memory(self, free_slots: int) -> bool:
        return free_slots > (self._reserved_slots if self.has_origin else 0)

    def _able(self, now: float) -> list[int]:
        return [
            peer
            for peer in self.holders.peers
            if self.standing.may_ask(peer, now) and (not self._repod or peer not in self._bridges)
        ]

    def _ask_again(self, able: list[int], now: float) -> Asking | None:
        """Neighbours with nothing to do: take what waits MOVE_AFTER_S for a busy one, or ask twice for what is late."""
        idle = [peer for peer in able if not self.requests.under_way(peer)]
        if not idle:
            return None
        for asked in self.requests.alone():
            held = (peer for peer in idle if peer != asked.source and self.holders.holds(peer, asked.chunk))
            peer = next(held, None)
            if peer is None or self.picker.phase(asked.chunk) is not Phase.ASKED:
                continue
            if self._spares_left > 0 and self.requests.is_late(asked, now):
                return Asking(source=peer, chunk=asked.chunk)
            if not asked.begun and now >= asked.asked_at + MOVE_AFTER_S:
                self.figures.moved += 1
                self._cancel(asked)
        return None

    def _cancel(self, request: Request) -> None:
        if not request.cancelled:
            request.cancelled = True
            self._cancels.append(Asking(source=request.source, chunk=request.chunk))

    def _free(self, request: Request) -> None:
        """It will not come from there."""
        if not self.requests.of(request.chunk):
            self.picker.give_up(request.chunk)

    def _find_again(self, chunks: Iterable[int]) -> None:
        """Somebody has these: what was lost for want of a holder is not lost any more."""
        for chunk in chunks:
            if chunk in self._lost and self.picker.phase(chunk) is Phase.LOST:
                del self._lost[chunk]
                self.picker.set_phase(chunk, Phase.FREE)

    def _lose(self, chunk: int, reason: str) -> None:
        self._lost[chunk] = reason
        if self.picker.phase(chunk) <= Phase.ASKED and not self.holders.rarity[chunk]:
            self.picker.set_phase(chunk, Phase.LOST)

    def _look_for_needs(self, now: float, *, unheard: bool) -> None:
        """What the scatter has passed and nobody has; when nothing comes at all, the next few whatever they are."""
        idle = not self.requests.count and not self._held
        starving = self._needs.is_starving(now - self._arrival, idle=idle, unheard=unheard)
        able = [peer for peer in self._able(now) if not self.standing.is_blamed(peer)]
        lacking = [chunk for chunk in self.picker.lacking(able) if chunk not in self._assigned]
        lacking = lacking if starving else [chunk for chunk in lacking if chunk < self.holders.frontier]
        self._needs.handle_lacking(lacking, now, starving=starving, unheard=unheard, coming=len(self._assigned))
