"""Where a session takes stored chunks from: a repository over a transport, or the CACHE of this machine."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from client.proto.brake import Brake
from core.arena import Arena
from core.wantmap import WantMap
from images.manifest import Manifest
from transports.base import Incoming

__all__ = ["Source"]


class Source(Protocol):
    """One way to get chunks, asked again after a break until the session gives up."""

    @property
    def label(self) -> str:
        """For messages and figures."""

    @property
    def supply(self) -> Brake:
        """What the brake is called while everything waits for this source."""

    def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AbstractAsyncContextManager[Incoming]:
        """Deliver what is in `want` (the contract of transports.base.ClientTransport.fetch).

        Entering may raise ConnectionFailedError (try again later), TransferError (try another source), or what
        ends the restore: AuthenticationError, NotFoundError.
        """
