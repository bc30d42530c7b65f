"""Messages of the control API `/v1`, as repod sends and the client reads them (docs/wire-control.md).

All bodies are JSON. Bytes travel as base64. Unknown fields are ignored, missing ones are errors, so that either side
may be newer than the other. Lengths are bounded by the annotations; the HTTP layer bounds whole bodies.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from transports.paths import API_PREFIX

__all__ = [
    "API_PREFIX",
    "SHORT_CHARS",
    "CaptureCommitted",
    "CaptureOpened",
    "CaptureRequest",
    "ErrorBody",
    "ImageInfo",
    "ImageList",
    "OfferBody",
    "RoomInfo",
    "SessionAdvice",
    "SessionOpened",
    "SessionReport",
    "SessionRequest",
]

SHORT_CHARS = 256
"""Of the texts of a message: names, option strings."""
Short = Annotated[str, msgspec.Meta(max_length=SHORT_CHARS)]


class ErrorBody(msgspec.Struct, kw_only=True, frozen=True):
    """Every answer of status 400 and above."""

    error: str
    """Name of the error class, as in core.errors: `NotFoundError`."""
    message: str
    hint: str | None = None
    code: int = 40
    """The exit code a command should end with."""


class ImageInfo(msgspec.Struct, kw_only=True, frozen=True):
    """One image version, as listed."""

    name: str
    version: int
    root: str
    """Root digest, hex."""
    size: int
    """Bytes of the partition it was made from: what a target must hold."""
    data_bytes: int
    """Bytes of DATA extents."""
    chunk_size: int
    chunks: int
    """Entries of the chunk table."""
    stored_bytes: int
    """What its chunks take in the store, shared ones included."""
    fs_type: str
    created: str
    """RFC 3339, UTC."""
    tool: str = ""


class ImageList(msgspec.Struct, kw_only=True, frozen=True):
    """GET /v1/images."""

    images: list[ImageInfo]


class OfferBody(msgspec.Struct, kw_only=True, frozen=True):
    """One offer of a session; `parameters` belong to the transport."""

    transport: Short
    parameters: dict[str, Any]


class RoomInfo(msgspec.Struct, kw_only=True, frozen=True):
    """Who else takes the image version of a session."""

    sessions: int = 1
    """All that do, this one included."""
    near: int = 1
    """Those in this client's subnet, itself included."""
    others: dict[str, int] = {}
    """Of the others: how many get their chunks by which transport, as they reported last."""


class SessionRequest(msgspec.Struct, kw_only=True, frozen=True):
    """POST /v1/sessions."""

    image: Short
    """`name` or `name@version`."""
    method: Short
    """UNICAST-DIRECT, … : says which transport the client means to start on; AUTO-…: the client chooses."""
    options: Short = ""
    """OpenGnsys' protocol option string, for transports that have one."""
    host: Short = ""
    """The client's own name for itself, for the operator."""
    want: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Chunks it lacks."""
    listening: bool = False
    """It lacks every chunk, and listens as the first offer says, if there is anything to listen to, as soon as it has
    it: sending may begin."""


class SessionOpened(msgspec.Struct, kw_only=True, frozen=True):
    """201 answer to SessionRequest."""

    session: str
    key: bytes
    """32 bytes: proves on the data lanes that this is that client."""
    image: ImageInfo
    offers: list[OfferBody]
    """The method's own transport first, then those beside it, then those to fall back to."""
    refusals: dict[str, str] = {}
    """Transports that could not offer this image now, and why."""
    report_every_s: float = 2.0
    room: RoomInfo = RoomInfo()


class SessionReport(msgspec.Struct, kw_only=True, frozen=True):
    """POST /v1/sessions/{id}/reports: where a client stands. The last one has `state` done or failed."""

    state: Annotated[str, msgspec.Meta(pattern="^(checking|transferring|verifying|giving|done|failed)$")]
    """`giving`: it lacks nothing and gives to others."""
    have: Annotated[int, msgspec.Meta(ge=0)]
    """Chunks verified and written."""
    bytes_received: Annotated[int, msgspec.Meta(ge=0)] = 0
    bytes_written: Annotated[int, msgspec.Meta(ge=0)] = 0
    rate: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Image bytes per second over the last interval."""
    brake: Annotated[str, msgspec.Meta(max_length=16)] = ""
    """network, decode or disk."""
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    bad_chunks: Annotated[int, msgspec.Meta(ge=0)] = 0
    transport: Annotated[str, msgspec.Meta(max_length=32)] = ""
    """What brings the chunks now."""
    message: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    picked: Short = ""
    """Why this transport, where the client chose it."""


class SessionAdvice(msgspec.Struct, kw_only=True, frozen=True):
    """200 answer to SessionReport: what has changed for the client."""

    room: RoomInfo = RoomInfo()


class CaptureRequest(msgspec.Struct, kw_only=True, frozen=True):
    """POST /v1/captures: ask for the exclusive lock on a name."""

    name: Short
    host: Short = ""


class CaptureOpened(msgspec.Struct, kw_only=True, frozen=True):
    """201 answer; 423 with a LockedError body while somebody else holds the lock."""

    capture: str
    key: bytes
    chunk_size: int
    """0: what the size of the image suggests (images.defaults.chunk_size_for)."""
    level: int
    """zstd level the repository wants."""
    offers: list[OfferBody]


class CaptureCommitted(msgspec.Struct, kw_only=True, frozen=True):
    """201 answer to PUT /v1/captures/{id}/manifest."""

    image: ImageInfo
    bytes_new: int = 0
    """Stored bytes this capture added."""
