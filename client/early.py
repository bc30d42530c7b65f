"""Opening the session before the rest of the program is there.

Importing everything a restore needs takes a few tenths of a second of processor time, and where eight clients start on
two cores, a tenth of the time that the image takes on the wire. So the session of a transport that knows how to listen
early (TransportSpec.early) is opened first, with little more than TLS: the repository can begin to send while this
process still imports, and what it sends waits in a socket's buffer.

Nothing depends on it. Whatever goes wrong here is forgotten, and the command opens its session as it always does; a
session that the command has no use for is given back. Only a restore that lacks every chunk is opened early, so a
journal of an unfinished restore is reason enough to leave it.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from client.config import ClientSettings, load_settings
from core.connecting import connect_blocking
from core.errors import OgcastError
from core.ids import ImageRef
from core.pinning import pinned_context
from transports import registry
from transports.base import Early, TransportSpec
from transports.control import API_PREFIX, SessionOpened, SessionRequest
from transports.methods import AUTO, Target, parse_method

__all__ = ["EarlySession", "Wish", "begin", "hand_over", "manifest", "read_wish"]

TIMEOUT_S = 5.0
"""For the connection and each answer; the command waits for an answer under way that long at most."""
HEAD_START_S = 0.25
"""The rest of the program is not imported before the answer is there, or so long has passed: where many start on few
cores, all should listen before any of them goes on."""
LISTEN_LOOK_S = 1.0
"""How often it is seen whether listening jams the link: on one slower than the cast nothing else gets through, not even
what the command still has to ask the repository."""
LISTEN_MAX_S = 10.0
"""Nobody listens for longer before the command is there."""
ANSWER_MAX_BYTES = 8 << 20
"""A manifest of 2^17 chunks fits; the command asks for a longer one itself."""
JOURNALS = "*.ogj"
COMMANDS = ("restore", "deploy")

_BEFORE = ("--config", "--repo", "--interface")
"""Options before the command that have a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a command line asks for, as far as it matters here."""

    image: str
    method: str
    options: str
    config: str | None
    repo: str | None
    interface: str | None


def read_wish(arguments: Sequence[str]) -> Wish | None:
    """The wish of a command line that restores straight from the repository; None for every other, and for those that
    are written in a way not understood here: typer reads them all again."""
    words = []
    for word in arguments:
        name, equals, value = word.partition("=")
        words += [name, value] if equals and name.startswith("--") else [word]
    before: dict[str, str] = {}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] in _BEFORE and at + 1 < len(words):
            before[words[at]] = words[at + 1]
            at += 2
        elif words[at] in ("--json", "--debug"):
            at += 1
        else:
            return None
    if at + 1 >= len(words) or words[at] not in COMMANDS or words[at + 1].startswith("-"):
        return None
    rest = words[at + 2 :]
    if not {"-h", "--help"}.isdisjoint(rest):
        return None
    given = {name: value for name, value in itertools.pairwise(rest) if name.startswith("--")}
    method = given.get("--method", "")
    if method.strip().upper() == AUTO and words[at] == "restore":
        method = f"{AUTO}-{Target.DIRECT.value}"
    try:
        if parse_method(method).target is not Target.DIRECT:
            return None
    except OgcastError:
        return None
    return Wish(
        image=words[at + 1],
        method=method,
        options=given.get("--options") or given.get("--protocol-options") or "",
        config=before.get("--config"),
        repo=before.get("--repo"),
        interface=before.get("--interface"),
    )


class EarlySession:
    """A session being opened on a thread of its own. Taken by the command, or given back."""

    def __init__(
        self, wish: Wish, settings: ClientSettings, early: Mapping[str, str], *, chooses: bool = False
    ) -> None:
        """`early`: import paths of `Listen` by transport; a client that `chooses` does so only on a link that suits."""
        self.wish = wish
        self._chooses = chooses
        self._settings = settings
        self._early = early
        self._listening: dict[str, Early] = {}
        self.jammed: dict[str, float] = {}
        """Transports that filled the link when they were listened to, and what share of them was lost on it."""
        self._opened: SessionOpened | None = None
        self._manifest: bytes | None = None
        self._connection: HTTPSConnection | None = None
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._open, name="early-session", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until it is open or has failed, `seconds` at most."""
        self._thread.join(seconds)

    def take(self, *, root: bytes, method: str, options: str, want: int, chunks: int) -> SessionOpened | None:
        """The session, if it is for just this transfer. Waits for an answer under way. Once only."""
        self._thread.join(2 * TIMEOUT_S)
        opened = self._opened
        same = (self.wish.method.upper(), self.wish.options) == (method, options) and want == chunks
        if opened is None or not same or opened.image.root != root.hex():
            self.close()
            return None
        self._opened = None
        return opened

    def manifest(self, ref: ImageRef) -> bytes | None:
        """The manifest file that was fetched with the session, not yet checked, if it is of `ref`. Waits for it."""
        self._thread.join(2 * TIMEOUT_S)
        return self._manifest if str(ref) == self.wish.image else None

    @property
    def heard(self) -> str:
        """The transport that is listened to, if something of it has come; else empty."""
        return next((name for name, early in list(self._listening.items()) if early.hears), "")

    def take_listening(self, transport: str) -> Early | None:
        """What listens for a transport; it belongs to the caller. None if it listens no more."""
        self._taken.set()
        return self._listening.pop(transport, None)

    def close(self) -> None:
        """Listen no more, and give a session back that nobody took; harmless when repeated."""
        self._thread.join(2 * TIMEOUT_S)
        self._taken.set()
        self._stop_listening()
        opened, self._opened = self._opened, None
        if opened is not None:
            with contextlib.suppress(OSError, HTTPException, OgcastError):  # it expires by itself
                self._request("DELETE", f"/sessions/{opened.session}", None)
            self._hang_up()

    def _watch(self) -> None:
        """Listen no more when it does harm, or for too long."""
        until = time.monotonic() + LISTEN_MAX_S
        while not self._taken.wait(LISTEN_LOOK_S):
            jams = [name for name, early in list(self._listening.items()) if early.jams]
            for name in jams:
                if early := self._listening.pop(name, None):  # nobody has taken it meanwhile
                    self.jammed[name] = early.loss()
                    early.close()
            if jams or time.monotonic() >= until:
                self._stop_listening()
                if jams:
                    self._cut()
                return

    def _cut(self) -> None:
        """End what is being asked for: on a link that was jammed it waits for its next attempt, longer each time, while
        a new connection gets through at once."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _stop_listening(self) -> None:
        with contextlib.suppress(KeyError):  # somebody else took the last one meanwhile
            while self._listening:
                self._listening.popitem()[1].close()

    def _open(self) -> None:
        request = SessionRequest(
            image=self.wish.image,
            method=self.wish.method.upper(),
            options=self.wish.options,
            host=socket.gethostname()[:256],
            listening=True,
        )
        try:
            if self._chooses and not _suits_group(self._settings):
                return
            answer = self._request("POST", "/sessions", msgspec.json.encode(request))
            self._opened = opened = msgspec.json.decode(answer, type=SessionOpened)
            offer = next((offer for offer in opened.offers if offer.transport in self._early), None)
            if offer is not None:
                module, _, name = self._early[offer.transport].partition(":")
                listen = getattr(importlib.import_module(module), name)
                self._listening[offer.transport] = listen(
                    offer.parameters, interface=self._settings.interface, session=opened, host=self._settings.host
                )
                threading.Thread(target=self._watch, name="early-listening", daemon=True).start()
            image = opened.image
            self._manifest = self._request("GET", f"/images/{image.name}@{image.version}/manifest", None)
        except Exception:  # the command meets the same trouble, and has the words for it
            return
        finally:
            self._hang_up()

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"Authorization": f"Bearer {self._settings.token}", "Content-Type": "application/json"}
        connection = self._connection or self._connect()
        connection.request(method, f"{API_PREFIX}{path}", body=body, headers=headers)
        answer = connection.getresponse()
        data = answer.read(ANSWER_MAX_BYTES + 1)
        if answer.status >= 300 or len(data) > ANSWER_MAX_BYTES:
            raise HTTPException(f"status {answer.status}, {len(data)} bytes")
        return data

    def _connect(self) -> HTTPSConnection:
        parts = urlsplit(self._settings.base_url)
        host, port = parts.hostname or "", parts.port or 0
        context = pinned_context(self._settings.certificate)
        connection = self._connection = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        connection.auto_open = 0  # it would connect in its own way
        plain = connect_blocking(host, port, timeout_s=TIMEOUT_S)
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        return connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_begun: EarlySession | None = None


def begin(arguments: Sequence[str]) -> EarlySession | None:
    """Open the session this command line will want, if it is one to open early. Never raises for bad input."""
    global _begun
    try:
        wish = read_wish(arguments)
        if wish is None:
            return None
        method = parse_method(wish.method)
        specs = _groups() if method.chooses else [registry.by_protocol(method.protocol)]
        ways = {spec.name: spec.early for spec in specs if spec.early}
        if not ways:
            return None
        config = Path(wish.config) if wish.config is not None else None
        settings = load_settings(config, repo=wish.repo, interface=wish.interface)
        if any(settings.state_path.glob(JOURNALS)):
            return None
    except (OgcastError, OSError):
        return None
    _begun = EarlySession(wish, settings, ways, chooses=method.chooses)
    with contextlib.suppress(ImportError):  # while the answer is awaited: what is sent before it listens is lost
        for path in ways.values():
            importlib.import_module(path.partition(":")[0])
    _begun.wait(HEAD_START_S)
    return _begun


def _groups() -> list[TransportSpec]:
    """What a client that has the choice listens to: where many begin at once, one sending serves all."""
    return [spec for spec in map(registry.by_name, registry.BUILT_IN) if spec.capabilities.shared_send]


def _suits_group(settings: ClientSettings) -> bool:
    """Whether the link is one to listen on at all; the command looks again, and says why."""
    from client.proto.picker import against_group
    from core.link import link_of, link_towards

    link = link_of(settings.interface) if settings.interface else link_towards(settings.host)
    return link is None or not against_group(link.bytes_per_s, wireless=link.wireless)


def manifest(ref: ImageRef) -> bytes | None:
    """The manifest that came with the session `begin` is opening; blocks until it is there. None: ask for it."""
    return None if _begun is None else _begun.manifest(ref)


def hand_over() -> EarlySession | None:
    """The session `begin` is opening; the caller takes or closes it. None the second time."""
    global _begun
    begun, _begun = _begun, None
    return begun
