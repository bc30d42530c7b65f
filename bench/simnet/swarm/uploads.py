"""The sending side of a simulated host: chunks asked for, lane by lane, and whose turn it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from bench.simnet.clock import Clock
from bench.simnet.swarm.wire import Flow, Port, Wire
from transports.p2p.proto.slots import TELL_AFTER_S, UploadSlots
from transports.unicast.proto.turn_taking import TURN_S

__all__ = ["Receiver", "Uploads"]


class Receiver(Protocol):
    """Who takes chunks, as the one who sends sees it."""

    def path_from(self, source: int) -> Sequence[Port]:
        """The ports on the way from `source`, the receiver's own last."""

    def handle_train(self, source: int, chunk: int, count: int, *, last: bool) -> None:
        """Bytes of a chunk came."""

    def handle_returned(self, source: int, chunk: int) -> None:
        """A request was dropped as asked."""

    def handle_refused(self, source: int, chunk: int) -> None:
        """It is not there any more."""

    def count(self) -> int:
        """Chunks it holds."""

    def handle_turn(self, source: int) -> None:
        """It may say which chunk it wants."""

    def handle_waiting(self, source: int, *, waiting: bool) -> None:
        """It was told that it waits, or its turn came."""


@dataclass(slots=True)
class _Lane:
    receiver: Receiver
    queue: deque[int] = field(default_factory=deque)
    flow: Flow | None = None
    told: bool = False
    wants_turn: bool = False
    turn: int = 0
    """Number of the turn it has and did not answer; 0: none."""


class Uploads:
    """One host's lanes, by the number of who asks. Without `slots` everybody is sent to at once (the origin)."""

    def __init__(
        self,
        clock: Clock,
        wire: Wire,
        *,
        source: int,
        slots: UploadSlots | None,
        length_of: Callable[[int], int],
        holds: Callable[[int], bool],
        delay_s: float,
    ) -> None:
        self.source = source
        self.chunks_sent = 0
        self.silent = False
        """It promises and sends nothing."""
        self._clock = clock
        self._wire = wire
        self._slots = slots
        self._length_of = length_of
        self._holds = holds
        self._delay_s = delay_s
        self._lanes: dict[int, _Lane] = {}
        self._ticking = False
        self._opens_at = -1.0
        self._turns = 0

    @property
    def receivers(self) -> list[Receiver]:
        """Everybody who is connected."""
        return [lane.receiver for lane in self._lanes.values()]

    def rank(self, number: int) -> int:
        """How many chunks a receiver holds."""
        lane = self._lanes.get(number)
        return 0 if lane is None else lane.receiver.count()

    def join(self, number: int, receiver: Receiver) -> None:
        """Somebody connected."""
        self._lanes[number] = _Lane(receiver)
        if self._slots is not None:
            self._slots.join(number)

    def leave(self, number: int) -> None:
        """Its connection is gone."""
        lane = self._lanes.pop(number, None)
        if lane is not None:
            if lane.flow is not None:
                lane.flow.drop()
            if self._slots is not None:
                self._slots.forget(number, self._clock.now)
                self._wake()

    def close(self) -> None:
        """This host is gone."""
        self._wire.stop()
        for lane in self._lanes.values():
            if lane.flow is not None:
                lane.flow.drop()
        self._lanes.clear()

    def ask(self, number: int, chunk: int) -> None:
        """A request came."""
        if (lane := self._lanes.get(number)) is not None:
            lane.queue.append(chunk)
            self._serve(number)

    def ask_turn(self, number: int) -> None:
        """Somebody wants to be sent something."""
        if (lane := self._lanes.get(number)) is not None:
            lane.wants_turn = True
            self._serve(number)

    def pass_turn(self, number: int) -> None:
        """It wants nothing after all."""
        if (lane := self._lanes.get(number)) is not None:
            lane.turn = 0
            self._serve(number)

    def cancel(self, number: int, chunk: int) -> None:
        """A request is taken back, if it is not being answered."""
        lane = self._lanes.get(number)
        if lane is not None and chunk in lane.queue:
            lane.queue.remove(chunk)
            self._later(partial(lane.receiver.handle_returned, self.source, chunk))
            self._serve(number)

    def _serve(self, number: int) -> None:
        """Send the next chunk this lane is owed, when it may."""
        lane = self._lanes.get(number)
        if lane is None or lane.flow is not None:
            return
        if self.silent:
            if lane.wants_turn:
                self._give_turn(number, lane)
            return
        while lane.queue and not self._holds(lane.queue[0]):
            self._later(partial(lane.receiver.handle_refused, self.source, lane.queue.popleft()))
        if not lane.queue:
            self._serve_turn(number, lane)
            return
        if self._slots is not None and not self._slots.ask(number, self._clock.now):
            self._tick_soon()
            self._wake()
            return
        lane.turn = 0
        chunk = lane.queue.popleft()
        length = self._length_of(chunk)
        if self._slots is not None:
            self._slots.spend(number, length, self._clock.now)
        if lane.told:
            lane.told = False
            self._later(partial(lane.receiver.handle_waiting, self.source, waiting=False))
        self.chunks_sent += 1
        lane.flow = Flow(
            length,
            lane.receiver.path_from(self.source),
            arrive=_Arrival(lane.receiver, self.source, chunk, length),
            sent=partial(self._sent, number, lane),
        )
        self._wire.send(lane.flow)
        self._wake()

    def _serve_turn(self, number: int, lane: _Lane) -> None:
        if self._slots is None or lane.turn:
            return
        if not lane.wants_turn:
            self._slots.leave(number, self._clock.now)
        elif self._slots.ask(number, self._clock.now):
            self._give_turn(number, lane)
        self._wake()

    def _give_turn(self, number: int, lane: _Lane) -> None:
        lane.wants_turn = False
        self._turns += 1
        lane.turn = self._turns
        self._later(partial(lane.receiver.handle_turn, self.source))
        self._clock.at(self._clock.now + TURN_S, partial(self._take_turn_back, number, lane.turn))

    def _take_turn_back(self, number: int, turn: int) -> None:
        """It did not answer."""
        lane = self._lanes.get(number)
        if lane is not None and lane.turn == turn:
            lane.turn = 0
            self._serve(number)

    def _sent(self, number: int, lane: _Lane) -> None:
        lane.flow = None
        self._serve(number)

    def _wake(self) -> None:
        while self._slots is not None and (number := self._slots.poll_granted()) is not None:
            self._clock.at(self._clock.now, partial(self._serve, number))
        opens_at = None if self._slots is None else self._slots.opens_at
        if opens_at is not None and self._opens_at != opens_at:
            self._opens_at = opens_at
            self._clock.at(opens_at, self._open)

    def _open(self) -> None:
        """The cap lets somebody send again."""
        assert self._slots is not None
        self._slots.handle_timer(self._clock.now)
        self._wake()

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._clock.at(self._clock.now + TELL_AFTER_S, self._tick)

    def _tick(self) -> None:
        """While somebody waits: tell where it stands."""
        self._ticking = False
        assert self._slots is not None
        for number, _ in self._slots.poll_notices(self._clock.now):
            if (lane := self._lanes.get(number)) is not None and lane.queue:
                lane.told = True
                self._later(partial(lane.receiver.handle_waiting, self.source, waiting=True))
        if self._slots.waiting:
            self._tick_soon()

    def _later(self, call: Callable[[], None]) -> None:
        self._clock.at(self._clock.now + self._delay_s, call)


class _Arrival:
    """Counts what came of one chunk."""

    __slots__ = ("_chunk", "_left", "_receiver", "_source")

    def __init__(self, receiver: Receiver, source: int, chunk: int, length: int) -> None:
        self._receiver = receiver
        self._source = source
        self._chunk = chunk
        self._left = length

    def __call__(self, count: int) -> None:
        self._left -= count
        self._receiver.handle_train(self._source, self._chunk, count, last=not self._left)
