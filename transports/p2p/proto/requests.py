"""Requests under way, how fast each source answers, and which of them is overdue.

A source is a neighbour by its id, or ORIGIN. Requests of one source are answered about in their order, so its clock is
that of the oldest: it starts when it was asked, or when the answer before it came.
"""

from __future__ import annotations

from collections.abc import Container

import msgspec

from transports.p2p.proto.pace import Pace

__all__ = ["FIRST_EXPECTED_S", "ORIGIN", "PATIENCE", "QUIET_S", "Request", "Requests"]

ORIGIN = -1

EXPIRY_LEAST_S = 2.0
PATIENCE = 4.0
"""A chunk that takes this many times as long as the ones before it is overdue."""
FIRST_EXPECTED_S = 1.0
"""What a source's first chunk is expected to take."""
QUIET_S = 0.75
"""While nothing at all comes from anybody, who has given nothing yet is waited for no longer than this: whoever serves
a slow link sends something all the time, and who serves others first says so at once."""
QUEUED_S = 1.25
"""Who has a request wait says so each second."""
LOOK_MAX_S = 0.25
"""A look counts for no longer: after a pause it was this machine that stood still."""
LATE_AFTER = 3.0
LATE_LEAST_S = 0.25
"""A chunk is late, though not overdue, after so many times what it was expected to take, and so long at least."""
TRICKLE_BYTES_PER_S = 64 * 1024
"""An overdue chunk that still comes at this rate is waited for …"""
TRICKLE_SHARE = 0.25
"""… or, where everything comes slowly, at this part of what a source brings on average …"""
TRICKLE_LEAST_BYTES_PER_S = 4 * 1024
"""… but no more slowly than this, even if nothing else comes …"""
TRICKLE_LOOK_S = 1.0
"""… as seen over so long: a link that ten share brings a lump of each now and then …"""
WORDS_BYTES = 4 * 1024
"""… and until that long has passed, if more came than words are …"""
OVERDUE_MAX_S = 30.0
"""… or whose source says that its turn will come, for so long, or for PATIENCE times what chunks take here."""
WAITING_S = 5.0
"""… and that is believed for so long after anything came from there: a machine that was switched off said it too."""
_KEEP = 0.5


class Request(msgspec.Struct, kw_only=True):
    """One chunk asked of one source."""

    source: int
    chunk: int
    asked_at: float
    spare: bool = False
    """Another source was asked for it as well."""
    at_once: bool = False
    """It was asked for when its turn had come: bytes follow, or something is wrong."""
    begun: bool = False
    """Its bytes are arriving."""
    cancelled: bool = False


class _Flow(msgspec.Struct):
    """What is known of one source."""

    requests: dict[int, Request]
    last_at: float = float("-inf")
    chunk_s: float = 0.0
    """Seconds a chunk takes, smoothed; 0: unknown."""
    bytes_seen: int = 0
    mark_at: float = 0.0
    mark_bytes: int = 0
    mark_all: int = 0
    """When it was last looked at whether it sends, and what had come by then, from it and from all."""
    sends: bool | None = None
    """It did, as far as that look goes; None: there was none since it was asked."""
    turn_came: bool = False
    """It does not say any more that this peer waits: it is about to send."""
    waiting: bool = False
    lived_at: float = float("-inf")
    """When bytes of any kind were last seen to have come."""
    lived_bytes: int = -1
    """`bytes_seen` then; -1: that is to be looked at anew."""
    mute: bool = False
    """It was found overdue while nobody sent anything, and has neither given nor promised anything since."""
    stuck_at: float = float("-inf")
    stuck_bytes: int = 0
    """When it was last seen to owe only what was taken back, and what had come by then."""


class Requests:
    """The table. Pure: the caller says what time it is."""

    def __init__(self) -> None:
        self._flows: dict[int, _Flow] = {}
        self._chunks: dict[int, list[Request]] = {}
        self._looked_at: float | None = None
        self.count = 0
        """Requests under way."""
        self.took_s = 0.0
        """Seconds from asking at a turn to the last byte of the chunk, smoothed over all sources; 0: none came yet."""
        self.pace = Pace()
        self._bytes_seen = 0
        """From all sources."""
        self.quiet_s = 0.0
        """For so long no byte came from any source, as far as `overdue` was called meanwhile."""

    def join(self, source: int, now: float) -> None:
        """A source that may be asked."""
        self._flows[source] = _Flow(requests={}, mark_at=now)

    def leave(self, source: int) -> list[Request]:
        """It is gone; what was asked of it and will not come."""
        flow = self._flows.pop(source, None)
        if flow is None:
            return []
        gone = list(flow.requests.values())
        for request in gone:
            self._unlist(request)
        return gone

    def __contains__(self, source: int) -> bool:
        return source in self._flows

    def add(self, source: int, chunk: int, now: float, *, spare: bool = False, at_once: bool = False) -> Request:
        """It was asked."""
        flow = self._flows[source]
        request = Request(source=source, chunk=chunk, asked_at=now, spare=spare, at_once=at_once)
        if not flow.requests:
            self._mark(flow, now, sends=None)
        flow.requests[chunk] = request
        self._chunks.setdefault(chunk, []).append(request)
        self.count += 1
        return request

    def pop(self, source: int, chunk: int) -> Request | None:
        """It ended in some way other than `arrived`; None if it was not under way."""
        flow = self._flows.get(source)
        request = flow.requests.pop(chunk, None) if flow is not None else None
        if request is not None:
            self._unlist(request)
        return request

    def arrived(self, source: int, chunk: int, now: float) -> Request | None:
        """It came; its source's rate is learnt from that."""
        request = self.pop(source, chunk)
        flow = self._flows.get(source)
        if flow is not None and request is not None:
            took = now - max(request.asked_at, flow.last_at)
            flow.chunk_s = _smooth(flow.chunk_s, took)
            self.pace.handle_chunk(took)
            if request.at_once:
                self.took_s = _smooth(self.took_s, took)
            flow.last_at = now
            flow.waiting = flow.mute = False
            flow.stuck_at = float("-inf")
            self._mark(flow, now, sends=None)
        return request

    def of(self, chunk: int) -> list[Request]:
        """Who was asked for `chunk`."""
        return self._chunks.get(chunk, [])

    def is_asked(self, source: int, chunk: int) -> bool:
        """`source` has yet to answer for `chunk`, if only that it dropped what was taken back: ask it nothing twice."""
        flow = self._flows.get(source)
        return flow is not None and chunk in flow.requests

    def under_way(self, source: int) -> int:
        """Requests of `source`."""
        flow = self._flows.get(source)
        return len(flow.requests) if flow is not None else 0

    def chunks(self) -> list[int]:
        """Chunks asked of anybody."""
        return list(self._chunks)

    def chunk_s(self, source: int) -> float:
        """Seconds a chunk of `source` is expected to take."""
        return self._flows[source].chunk_s or max(FIRST_EXPECTED_S, self.pace.chunk_s)

    def handle_bytes(self, source: int, count: int) -> None:
        """Bytes of chunks came, or word that this peer waits. Anything else is no sign that it will send."""
        flow = self._flows.get(source)
        if flow is not None:
            flow.bytes_seen += count
            self._bytes_seen += count

    def handle_waiting(self, source: int, waiting: bool) -> None:
        """The source said that this peer waits for its turn, or that its turn has come."""
        flow = self._flows.get(source)
        if flow is not None:
            if waiting and not flow.waiting:
                flow.lived_bytes = -1
            if flow.waiting and not waiting:
                flow.turn_came = True
            flow.waiting = waiting
            flow.mute = flow.mute and not waiting

    def is_waiting(self, source: int) -> bool:
        """It said that this peer waits for its turn."""
        return self._flows[source].waiting

    def of_neighbours(self) -> list[Request]:
        """What was asked of anybody but the origin and not taken back."""
        return [
            each
            for requests in self._chunks.values()
            for each in requests
            if each.source != ORIGIN and not each.cancelled
        ]

    def of_origin(self) -> list[Request]:
        """What was asked of the origin and not taken back."""
        flow = self._flows.get(ORIGIN)
        return [] if flow is None else [each for each in flow.requests.values() if not each.cancelled]

    def alone(self) -> list[Request]:
        """What was asked of one neighbour and of nobody else, and not taken back."""
        return [
            requests[0]
            for requests in self._chunks.values()
            if len(requests) == 1 and requests[0].source != ORIGIN and not requests[0].cancelled
        ]

    def is_late(self, request: Request, now: float) -> bool:
        """It takes so much longer than expected that asking somebody else as well makes sense."""
        place = list(self._flows[request.source].requests).index(request.chunk) + 1
        return now > request.asked_at + max(LATE_LEAST_S, LATE_AFTER * place * self.chunk_s(request.source))

    def overdue(self, now: float) -> list[tuple[Request, bool]]:
        """Requests not to be waited for any longer, each with whether the source is to blame. Call about ten times a
        second.

        The origin is never overdue: repod takes an assignment away that is not brought in time.
        """
        self._listen(now)
        found: list[tuple[Request, bool]] = []
        quiet_s = self._quiet_s
        longer_s = max(OVERDUE_MAX_S, PATIENCE * self.pace.chunk_s)
        for source, flow in self._flows.items():
            if source == ORIGIN:
                continue
            for request in flow.requests.values():
                since = max(request.asked_at, flow.last_at)
                if self.quiet_s >= quiet_s and not flow.chunk_s and not request.cancelled and now >= since + quiet_s:
                    flow.mute = True
                limit = self._limit_s(flow)
                if request.at_once and not request.begun:
                    limit = max(EXPIRY_LEAST_S, self.pace.pause_s)
                if request.cancelled or now < since + limit:
                    continue
                waits = _waits(flow, now)
                if (self._sends(flow, now) or waits) and now < since + limit + longer_s:
                    break
                found.append((request, not waits))
        return found

    def unanswered(self, now: float, assigned: Container[int] = ()) -> list[int]:
        """Chunks that were taken back from all who were asked, and none of these sends or says anything any more: to be
        asked of others. A source that lives answers at once. Of what is `assigned`, the origin's to send, also those
        not taken back, and sooner: repod found that nobody who is to be counted on has them."""
        found: list[int] = []
        for chunk, requests in self._chunks.items():
            if any(request.source == ORIGIN for request in requests):
                continue
            if chunk in assigned:
                left = all(self._is_silent(request, now, max(self._quiet_s, QUEUED_S)) for request in requests)
            else:
                left = all(request.cancelled and self._is_silent(request, now) for request in requests)
            if left:
                found.append(chunk)
        return found

    def _is_silent(self, request: Request, now: float, limit_s: float = 0.0) -> bool:
        flow = self._flows[request.source]
        _look_for_life(flow, now)
        return now >= max(request.asked_at, flow.lived_at) + (limit_s or self._limit_s(flow))

    def stuck(self, now: float) -> list[int]:
        """Neighbours that owe nothing but what was taken back, and neither send nor drop it: named again and again. Who
        sends it, however slowly, keeps nothing from others: it is asked of them."""
        found: list[int] = []
        for source, flow in self._flows.items():
            if source == ORIGIN or not flow.requests or _waits(flow, now):
                continue
            limit = self._limit_s(flow)
            if all(request.cancelled for request in flow.requests.values()) and now >= flow.stuck_at + limit:
                if flow.stuck_at > float("-inf") and flow.bytes_seen < flow.stuck_bytes + WORDS_BYTES:
                    found.append(source)
                flow.stuck_at, flow.stuck_bytes = now, flow.bytes_seen
        return found

    def _listen(self, now: float) -> None:
        """Notice which sources live, and for how long none has."""
        before = self._looked_at if self._looked_at is not None else now
        self._looked_at = now
        self.quiet_s += min(LOOK_MAX_S, now - before)
        for flow in self._flows.values():
            if _look_for_life(flow, now):
                self.quiet_s = 0.0
        requests = (each for flow in self._flows.values() for each in flow.requests.values())
        self.pace.handle_coming(now - each.asked_at for each in requests if each.begun)
        self._look_for_progress(now)

    def _look_for_progress(self, now: float) -> None:
        """Notice which sources send what they owe. A rate is low if it is low for this room: twenty peers at 10 Mbit/s
        get no more of each other than one slow peer of a fast room gives."""
        busy = sum(1 for flow in self._flows.values() if flow.requests)
        for flow in self._flows.values():
            if flow.turn_came:
                self._mark(flow, now, sends=True)
            passed_s = now - flow.mark_at
            if not flow.requests or passed_s < max(TRICKLE_LOOK_S, self.pace.pause_s):
                continue
            usual = TRICKLE_SHARE * (self._bytes_seen - flow.mark_all) / (busy * passed_s)
            least = max(TRICKLE_LEAST_BYTES_PER_S, min(TRICKLE_BYTES_PER_S, usual))
            self._mark(flow, now, sends=flow.bytes_seen - flow.mark_bytes >= least * passed_s)

    def _sends(self, flow: _Flow, now: float) -> bool:
        """What it owes is on its way, as far as is known."""
        if flow.sends is None:
            return flow.bytes_seen >= flow.mark_bytes + WORDS_BYTES
        return flow.sends and now < max(flow.mark_at, flow.lived_at) + self._quiet_s

    @property
    def _quiet_s(self) -> float:
        return max(QUIET_S, self.pace.pause_s)

    def _mark(self, flow: _Flow, now: float, *, sends: bool | None) -> None:
        """Look at it from now on."""
        flow.mark_at, flow.mark_bytes, flow.mark_all = now, flow.bytes_seen, self._bytes_seen
        flow.sends, flow.turn_came = sends, False

    def _limit_s(self, flow: _Flow) -> float:
        """How long a chunk of it is waited for."""
        if flow.mute and not any(request.begun for request in flow.requests.values()):
            return self._quiet_s
        return max(EXPIRY_LEAST_S, PATIENCE * (flow.chunk_s or FIRST_EXPECTED_S))

    def _unlist(self, request: Request) -> None:
        self.count -= 1
        others = self._chunks[request.chunk]
        others.remove(request)
        if not others:
            del self._chunks[request.chunk]


def _smooth(before: float, now: float) -> float:
    return _KEEP * before + (1 - _KEEP) * now if before else now


def _look_for_life(flow: _Flow, now: float) -> bool:
    """Bytes are counted as they come, and looked at ten times a second. True if some came."""
    if flow.bytes_seen == flow.lived_bytes:
        return False
    flow.lived_bytes, flow.lived_at = flow.bytes_seen, now
    return True


def _waits(flow: _Flow, now: float) -> bool:
    """Its source said that this peer waits for its turn, and lives."""
    _look_for_life(flow, now)
    return flow.waiting and now < flow.lived_at + WAITING_S
