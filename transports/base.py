"""The contract between ogcast and a transport: one way to move chunks.

A transport is one folder under `transports/`, one entry point in the group `ogcast.transports` naming a
`TransportSpec`, and a pass of `transports/conformance`. Server and client halves are loaded only when used.

The server half serves stored frames of the sessions repod opens. The client half delivers stored frames of wanted
chunks in any order; it neither decodes nor verifies: the client session does that in one place for all transports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:  # what a client does first needs the names of transports, not NumPy (client/early.py)
    from core.arena import Arena
    from core.ids import ChunkIndex, Digest, SessionId
    from core.wantmap import WantMap
    from images.manifest import Manifest
    from images.stores import ChunkReader, ChunkWriter, Encoding
    from transports.written import WrittenFrames

__all__ = [
    "Capabilities",
    "CaptureClient",
    "CaptureGrant",
    "ClientContext",
    "ClientTransport",
    "Delivery",
    "Early",
    "Giving",
    "Incoming",
    "Listen",
    "Offer",
    "Outlook",
    "Seeding",
    "ServedSession",
    "ServerContext",
    "ServerTransport",
    "Sharing",
    "Steerable",
    "TransportSpec",
]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between transports, as values: nobody asks for a transport's type or name."""

    shared_send: bool = False
    """One sending serves many clients."""
    needs_peers: bool = False
    """Gets better with more clients."""
    captures: bool = False
    """Can carry an upload."""
    fallback: bool = False
    """Works wherever TCP to the repository works; others fall back to it."""
    seeds: bool = False
    """Clients can go on giving when they have everything: the client half is a Seeding."""
    options: bool = False
    """Understands the option string that OpenGnsys has for its protocol."""
    listens: bool = False
    """Its settings have a `port`: repod proposes one beside the control API when repod.toml names none."""


class TransportSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry point names. Importing it is cheap; the halves are import paths `module:attribute`."""

    name: str
    """`unicast`: the name in offers, metrics and configuration."""
    protocol: str
    """The operator's word in method names: `UNICAST` in UNICAST-DIRECT."""
    server: str
    """Import path of a callable `(ServerContext) -> ServerTransport`."""
    client: str
    """Import path of a callable `(ClientContext) -> ClientTransport`."""
    capabilities: Capabilities = msgspec.field(default_factory=Capabilities)
    early: str = ""
    """Import path of a `Listen`, if the client can listen before it knows what to listen for: light to import."""
    settings: str = ""
    """Import path of the dataclass of its table in repod.toml (fields made by core.config.setting); empty: no keys.

    Its class method `load(table)` raises UsageError for what is wrong in one (transports.tables).
    """


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What repod publishes so that a client can take an image over one transport.

    `parameters` holds only JSON values and is read by the transport's own client half.
    """

    transport: str
    parameters: Mapping[str, Any]


# ----------------------------------------------------------------------------------------------- server half


class ServedSession(msgspec.Struct, frozen=True, kw_only=True):
    """One image being served; made by repod, read-only for transports. Valid until `close_session`."""

    id: SessionId
    key: bytes
    """32 bytes shared with the client over TLS; proves on a data lane that the peer is that client."""
    manifest: Manifest
    chunks: ChunkReader
    options: str = ""
    """OpenGnsys' option string, for the transport of the method; empty for those to fall back to."""
    host: str = ""
    """The client's name for itself, for people."""
    listening: bool = False
    """The client lacks every chunk and acts on the offer at once (see `Listen`): what is sent to many may begin before
    its lane is there. For the transport of the method only; without one for those with `shared_send`."""
    stored_bytes: int = 0
    """Of all chunks of the image, as they are stored and sent; 0: not known."""


class CaptureGrant(msgspec.Struct, frozen=True, kw_only=True):
    """One upload in progress under repod's exclusive lock; made by repod for `open_capture`."""

    id: SessionId
    key: bytes
    writer: ChunkWriter
    """Called from the transport's thread, one call at a time."""
    chunk_bytes: int
    """Largest raw chunk accepted."""


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What repod gives the server half of a transport."""

    host: str
    """Address to listen on for data lanes, and to name in offers unless `advertise` is set."""
    advertise: str | None
    interface: str | None
    settings: Mapping[str, Any]
    """The transport's own table of repod.toml, already checked by its `settings` loader."""
    on_event: Callable[[str, Mapping[str, Any]], None]
    """Report something worth a log line and the event stream: (event name, fields). Thread-safe.

    `lane_opened` and `lane_closed`, with the field `session` (id of the session or capture), are duties: a session
    without reports lives, and a capture keeps its lock, as long as a lane is open."""


class ServerTransport(Protocol):
    """Server half. All methods are called on repod's event loop; threads and loops of its own are its business."""

    async def start(self) -> None:
        """Open sockets. Raises a LocalError (address in use, no such interface) with a hint."""

    async def stop(self, *, grace_s: float) -> None:
        """Tell clients, let what is being sent end within `grace_s` seconds, close. Repeating is harmless."""

    def open_session(self, session: ServedSession) -> Offer:
        """Serve a session from now on; returns what the client needs to take it."""

    def close_session(self, session_id: SessionId, reason: str) -> None:
        """Stop serving it; the client is told `reason` if it is connected. Unknown ids are ignored."""

    def open_capture(self, grant: CaptureGrant) -> Offer:
        """Accept an upload. UsageError if the transport cannot carry one."""

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """What the operator may want to know of one session: JSON values; empty for unknown ids."""

    def counters(self) -> Mapping[str, float]:
        """Running totals for metrics: `bytes_sent`, `chunks_sent`, `clients`, refusals and limits reached."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One figure with labels, for the operator's graphs."""

    name: str
    """Of the figure, such as `subnet_copies`."""
    text: str
    """What it counts, for people."""
    labels: Mapping[str, str]
    """The same names in all samples of a figure."""
    value: float
    rises: bool
    """It is a running total and never goes down."""


@runtime_checkable
class Sampling(Protocol):
    """Server half of a transport that has figures by image, subnet or the like, beside `counters`."""

    def samples(self) -> Iterable[Sample]:
        """A bounded number of them, now."""


# ----------------------------------------------------------------------------------------------- client half


class ClientContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the client gives the client half of a transport."""

    repository_host: str
    """Host part of the repository's URL; used when an offer names no address."""
    interface: str | None
    state_dir: Path | None
    on_event: Callable[[str, Mapping[str, Any]], None]
    cache: ChunkReader | None = None
    """The CACHE, where there is one: what transports that share may give from. It stays open as long as the session."""
    written: WrittenFrames | None = None
    alone: bool = False
    """No other transport may be taken: what another brings sooner is waited for."""
    lingers: bool = False
    """`Sharing.leave` will be called: until then a transport may go on giving when it has delivered everything."""
    take_early: Callable[[str], Any] = msgspec.field(default=lambda transport: None)
    """What `Listen` of a transport, by name, has made in this session; whoever takes it owns it. None without."""


class Early(Protocol):
    """Something that listens for a transport before its client half is there to use it."""

    @property
    def jams(self) -> bool:
        """Whether what is sent to it fills this machine's link, so that nothing else gets through."""

    @property
    def hears(self) -> bool:
        """Whether anything came."""

    def loss(self) -> float:
        """Share of what was sent that did not come; what came goes on waiting."""

    def close(self) -> None:
        """Listen no more; harmless when repeated."""


class Listen(Protocol):
    """Starts to listen as an offer says, in a fresh process and with little imported; raises what it likes."""

    def __call__(self, parameters: Mapping[str, Any], *, interface: str | None, session: bytes, host: str) -> Early:
        """`parameters` are those of the offer in `session`, a SessionOpened as it was sent; `host` is the repository's,
        where they name none."""


class Delivery(msgspec.Struct):
    """The stored bytes of one chunk, in a slot of the session's arena.

    Valid until `release()`; exactly one of Incoming.accept or Incoming.reject is called for each delivery, then
    release. Releasing gives the slot back and thereby grants the sender credit for another.
    """

    chunk: ChunkIndex
    encoding: Encoding
    frame: memoryview
    """The stored bytes; writable memory of the slot, owned by the receiver of the delivery until release."""
    source: str
    """Who sent it, for figures and blame: `repository`, or a peer's id."""
    release: Callable[[], None]
    prepare: Callable[[], None] | None = None
    """What is still to be done in `frame` before it is read: once, on any thread, before `release`; some milliseconds.
    It raises nothing: what went wrong the digest shows. None: nothing."""


class Incoming(Protocol):
    """An async iterator of deliveries; ends when nothing more will come over this transport.

    Raises ConnectionFailedError when the path broke and may work again, PathError when this transport cannot serve
    this client (now), TransferError or ProtocolError when the session is over, AuthenticationError when it is refused.
    What was delivered before stays good.
    """

    def __aiter__(self) -> Incoming: ...

    async def __anext__(self) -> Delivery: ...

    def accept(self, delivery: Delivery) -> None:
        """The chunk was verified."""

    def reject(self, delivery: Delivery, reason: str) -> None:
        """The chunk was not what its digest says; it is wanted again, from somebody else where possible."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a lane says about the chunks it was given, so that others can take some of them."""

    under_way: frozenset[int]
    """Asked for, arriving, or delivered and not judged: taken by another lane, they would come twice."""
    begun: frozenset[int] | None = None
    """Those of them that arrive or have come; the others are taken back in time if the map loses them. None: all."""
    last: frozenset[int] = frozenset()
    """Not under way, and to come after everything else: best taken from somebody else."""
    within_reach: frozenset[int] | None = None
    """Chunks it could bring now, were they left to it; None: it does not know, or any."""
    loss: float = 0.0
    """Share of the packets lost on the way here, of those since the last look."""
    pace_bytes_per_s: float = 0.0
    """How fast the sender sends to all; 0 if it does not say."""
    resting: bool = False
    """Nothing comes now, because the sender has nothing to send."""
    repeating: bool = False
    """What comes now was sent before: whoever began with the group has it."""


@runtime_checkable
class Steerable(Protocol):
    """An Incoming whose share of the session's chunks may grow and shrink while it runs.

    Its want-map is read again and again: a chunk that is in it no more is not asked for (and not reported as lacking),
    one that is in it since is asked for. It may end once its want-map is empty. One whose transport is a Sharing
    gives for as long as it is not left, and may be asked again when its want-map has something.
    """

    def outlook(self) -> Outlook:
        """How the chunks of its want-map stand. Cheap; some tenths of a second old at most."""


class ClientTransport(Protocol):
    """Client half: takes a session's chunks, once or several times."""

    def fetch(
        self, offer: Offer, *, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AbstractAsyncContextManager[Incoming]:
        """Connect and deliver every chunk of `want`.

        `want` belongs to the session, which discards chunks as they are verified; the transport reads it and asks
        for nothing that is not in it. Slots of the arena hold a chunk and 64 KiB. At most `arena.slots` chunks are in
        flight. Leaving the context cancels what is in flight and closes the lane.
        """


@runtime_checkable
class Sharing(Protocol):
    """A ClientTransport that passes chunks on to others, whatever transport brought them."""

    def verified(self, chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        """A chunk of the session was verified. `frame` is valid during the call only: what is to be kept is copied."""

    async def leave(self) -> None:
        """Give nothing any more; the session is over. Harmless when repeated, or when there is nothing to leave."""


class Giving(Protocol):
    """One membership that only gives."""

    @property
    def seconds(self) -> float | None:
        """How long the repository lets it last from its beginning; None: without end."""

    def state(self) -> Mapping[str, Any]:
        """JSON values: `held_chunks`, `chunks_given`, `bytes_given`, `receivers`, and what the transport adds."""

    async def wait(self) -> str:
        """Until nobody needs it; returns why. ConnectionFailedError if another session can, PathError after a fault."""


@runtime_checkable
class Seeding(Protocol):
    """A ClientTransport that can give without fetching. The process that gives may be another than the one that
    fetched: what only the memory of that one holds goes over as `hand_over` says."""

    def afterwards(self) -> str | None:
        """The option string with which giving should go on after the sessions of this transport; None: not at all."""

    def hand_over(self) -> tuple[bytes, Sequence[int]]:
        """What `give` takes as `inherited`, and the descriptors that the other process must have under these numbers.
        They stay open until the transport is gone."""

    def give(
        self,
        offer: Offer,
        *,
        session_id: SessionId,
        key: bytes,
        manifest: Manifest,
        chunks: ChunkReader | None,
        inherited: bytes = b"",
    ) -> AbstractAsyncContextManager[Giving]:
        """Connect and give what `chunks` and `inherited` hold. Leaving the context leaves the swarm.

        Raises ConnectionFailedError, AuthenticationError, ProtocolError.
        """


class CaptureClient(Protocol):
    """What `capture` needs of a transport with `capabilities.captures`; a ClientTransport that has it is one.

    Calls come from one worker thread through the event loop, in order, several in flight.
    """

    def upload(self, offer: Offer, *, session_id: SessionId, key: bytes) -> AbstractAsyncContextManager[CaptureLane]:
        """Connect and take the exclusive lock."""


class CaptureLane(Protocol):
    """An upload under way. Raises ConnectionFailedError when the path broke (reconnect and go on)."""

    async def contains(self, digests: list[Digest]) -> list[bool]:
        """Which of `digests` (at most 4096) the repository holds already."""

    async def write(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """Send one chunk; returns when the repository has verified and stored it. Several may be in flight."""
