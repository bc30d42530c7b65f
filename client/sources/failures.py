"""What follows when a lane fails: for its transport, for the session, and for whoever tries again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from client.proto.paths import PathPolicy
from core.errors import (
    AuthenticationError,
    ChunkError,
    ConnectionFailedError,
    OgcastError,
    PathError,
    ProtocolError,
    SessionOverError,
    TransferError,
)
from transports import registry
from transports.control import SessionOpened

__all__ = ["BROKEN_PAUSE_S", "LANE_REST_S", "REFUSALS_MAX", "Failures"]

REFUSALS_MAX = 3
"""Sessions in a row that a transport may end without one chunk before it is given up."""
LANE_REST_S = 10.0
"""A lane that cannot be reached while the repository answers is tried again after so long."""
LANE_PATIENCE_S = 20.0
"""The only lane that may be taken is given up when it could not be reached for so long while the repository answers: no
firewall opens by itself, and whoever waits is to be told."""
BROKEN_PAUSE_S = 1.0
"""A lane whose connection broke is opened again after so long, while others go on."""


class Failures:
    """Of one repository as a source; `on_session_over` is called when another control session is needed."""

    def __init__(
        self,
        paths: PathPolicy,
        *,
        on_event: Callable[[str, Mapping[str, Any]], None],
        on_session_over: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._on_event = on_event
        self._on_session_over = on_session_over
        self._clock = clock
        self._refusals = 0
        self._unreachable_since: float | None = None
        self.failed = ""
        """The lane whose broken connection was the session's to hear of last; empty: another kind of failure was."""

    def nothing_left(self, session: SessionOpened) -> TransferError:
        """What to say when none of a session's offers can be taken."""
        offered = ", ".join(offer.transport for offer in session.offers) or "none"
        refused = "".join(f"; {name}: {why}" for name, why in session.refusals.items())
        tried = "".join(f"; gave up {name}: {why}" for name, why in self._paths.given_up.items())
        return TransferError(
            f"no transport left for this image (offered: {offered}{refused}{tried})",
            hint=self._way_out(session),
        )

    def _way_out(self, session: SessionOpened) -> str:
        if self._paths.given_up:
            if self._paths.fallback:
                return "look at the repository's log, and at what lies between it and this client"
            return "look what lies between this client and the repository, or allow other transports: no --no-fallback"
        if session.refusals:  # it offers the transport, and cannot just now: it says itself why
            ways = "widen at the repository what is used up, or try again later"
            return ways if self._paths.fallback else f"{ways}; or allow other transports: no --no-fallback"
        return f"this ogcast knows {', '.join(sorted(registry.specs()))}"

    def handle_unreachable(self, name: str, error: ConnectionFailedError, *, others: bool) -> None:
        """The repository answers, but this lane of it cannot be reached. `others`: something else can be taken."""
        if others:
            self._rest(name, error, LANE_REST_S)
            return
        now = self._clock()
        if self._unreachable_since is None:
            self._unreachable_since = now
        if now >= self._unreachable_since + LANE_PATIENCE_S:
            self._give_up(name, error)

    def handle_progress(self) -> None:
        """Chunks came."""
        self._refusals = 0
        self._unreachable_since = None

    def judge(
        self, name: str, error: Exception, *, alone: bool, helps: bool, opened: bool, offered: list[str]
    ) -> Exception | None:
        """A lane failed with `error`; what the session is to hear, or None if it goes on without.

        `alone`: no other lane is open. `helps`: the lane only stood by another. `opened`: it could be reached.
        `offered`: transports there are.
        """
        self.failed = ""
        match error:
            case PathError():
                return self._judge_path(name, error, alone=alone, offered=offered)
            case ConnectionFailedError() | AuthenticationError() if helps:
                # If the session is over, the main lane is told so too.
                self._paths.handle_broken(name, self._clock(), BROKEN_PAUSE_S)
                return None
            case OgcastError() if helps:
                self._give_up(name, error)
                return None
            case AuthenticationError() | TransferError():
                self._on_session_over()
                self._refusals += 1
                if self._refusals > REFUSALS_MAX:
                    self._give_up(name, error)
                kind = SessionOverError if self._refusals == 1 else ConnectionFailedError
                return kind(str(error), hint=error.hint)
            case ConnectionFailedError():
                if alone:
                    self.failed = name
                    return error
                if opened:
                    self._paths.handle_broken(name, self._clock(), BROKEN_PAUSE_S)
                else:
                    self._rest(name, error, LANE_REST_S)
                return None
            case ProtocolError():
                self._give_up(name, error)
                if self._paths.poll_choice(offered, self._clock()) is not None:
                    return None
                return ConnectionFailedError(f"{name} ended: {error}", hint=error.hint)
            case ChunkError() if not alone:
                self._give_up(name, error)
                return None
            case _:
                return error

    def _judge_path(self, name: str, error: PathError, *, alone: bool, offered: list[str]) -> Exception | None:
        now = self._clock()
        if error.again_after_s is None:
            self._give_up(name, error)
        else:
            self._rest(name, error, error.again_after_s)
        left = self._paths.poll_choice(offered, now)
        if left is None:
            return error if alone else None
        if left == name and alone:  # it rests, and there is nothing else: the session waits, then tries again
            return ConnectionFailedError(f"{name}: {error}", hint=error.hint)
        return None

    def _rest(self, name: str, error: OgcastError, rest_s: float) -> None:
        if self._paths.handle_rest(name, self._clock(), rest_s, str(error)):
            self._on_event("transport-resting", {"transport": name, "message": str(error)})
        else:
            self._give_up(name, error)

    def _give_up(self, name: str, error: OgcastError) -> None:
        self._paths.handle_given_up(name, str(error))
        self._on_event("transport-given-up", {"transport": name, "message": str(error)})
