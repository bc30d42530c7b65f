"""Opening the session before the rest of the program is there.

Importing everything a restore needs takes a few tenths of a second of processor time, and where eight clients start on
two cores, a tenth of the time that the image takes on the wire. So the session of a transport that knows how to listen
early (TransportSpec.early) is opened first, with little more than TLS: the repository can begin to send while this
process still imports, and what it sends waits in a socket's buffer. Where nothing listens early the session is opened
beside the imports: the command goes on asking by the connection of that, and imports no HTTP client.

Nothing depends on it. Whatever goes wrong here is forgotten, and the command opens its session as it always does; a
session that the command has no use for is given back. Only a restore that lacks every chunk is opened early, so a
journal of an unfinished restore is reason enough to leave it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import threading
import time

from client.exchange import Exchange
from client.first_settings import FirstSettings, read_settings
from client.wish import Wish, read_wish
from core.connecting import connect_blocking, plain_name
from core.errors import OgcastError
from core.hostname import host_name
from core.pinning import pinned_context
from transports.listeners import LISTENERS, SHARED, SILENT, listeners_for
from transports.paths import API_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:  # a name for the checker alone: `typing` takes as long to import as all of these
    from collections.abc import Mapping, Sequence

    from core.ids import ImageRef
    from transports.base import Early
    from transports.control import SessionOpened

__all__ = ["EarlySession", "begin", "begun_at", "hand_over", "manifest"]

TIMEOUT_S = 5.0
"""For the connection and each answer; the command waits for an answer under way that long at most."""
HEAD_START_S = 0.25
"""The rest of the program is not imported before the answer is there, or so long has passed: where many start on few
cores, all should listen before any of them goes on. So who listens to a group also waits, within the same time, while
more wants to run than there are processors: what is sent before the last one listens is sent again."""
OTHERS_LOOK_S = 0.01
"""Between two looks whether that is so."""
LOADAVG = "/proc/loadavg"
"""proc(5): its fourth word is how many threads want to run, and of how many."""
LISTEN_LOOK_S = 1.0
"""How often it is seen whether listening jams the link: on one slower than the cast nothing else gets through, not even
what the command still has to ask the repository."""
LISTEN_MAX_S = 10.0
"""Nobody listens for longer before the command is there."""
JOURNAL = ".ogj"


class EarlySession:
    """A session being opened on a thread of its own. Taken by the command, or given back."""

    def __init__(self, wish: Wish, settings: FirstSettings, early: Mapping[str, str], *, chooses: bool = False) -> None:
        """`early`: import paths of `Listen` by transport; a client that `chooses` does so only on a link that suits."""
        self.wish = wish
        self.begun_at = time.monotonic()
        self._chooses = chooses
        self._settings = settings
        self._early = early
        self._listening: dict[str, Early] = {}
        self.jammed: dict[str, float] = {}
        """Transports that filled the link when they were listened to, and what share of them was lost on it."""
        self._opened: bytes | None = None
        """SessionOpened, as repod wrote it: what reads it whole comes with the command."""
        self._manifest: bytes | None = None
        self._exchange: Exchange | None = None
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._open, name="early-session", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until it is open or has failed, `seconds` at most."""
        self._thread.join(seconds)

    def take(self, *, root: bytes, method: str, options: str, want: int, chunks: int) -> SessionOpened | None:
        """The session, if it is for just this transfer. Waits for an answer under way. Once only."""
        self._thread.join(2 * TIMEOUT_S)
        opened = self._read_opened()
        same = (self.wish.method.upper(), self.wish.options) == (method, options) and want == chunks
        if opened is None or not same or opened.image.root != root.hex():
            self.close()
            return None
        self._opened = None
        return opened

    def take_line(self) -> Exchange | None:
        """The connection the session was opened by; it belongs to the caller. None if it is broken, or was taken."""
        exchange, self._exchange = self._exchange, None
        return exchange

    def _read_opened(self) -> SessionOpened | None:
        import msgspec  # the command has it by now

        from transports.control import SessionOpened

        with contextlib.suppress(msgspec.MsgspecError):
            return None if self._opened is None else msgspec.json.decode(self._opened, type=SessionOpened)
        return None

    def manifest(self, ref: ImageRef) -> bytes | None:
        """The manifest file that was fetched with the session, not yet checked, if it is of `ref`. Waits for it."""
        self._thread.join(2 * TIMEOUT_S)
        return self._manifest if str(ref) == self.wish.image else None

    @property
    def heard(self) -> str:
        """The transport that is listened to, if something of it has come; else empty."""
        return next((name for name, early in list(self._listening.items()) if early.hears), "")

    @property
    def listens_to_group(self) -> bool:
        """Whether it listens to what is sent to many at once."""
        return any(LISTENERS[shared][0] in self._listening for shared in SHARED)

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
        if opened is not None and not self._give_back(opened):
            self._hang_up()
            self._give_back(opened)  # by a new connection: a link that was jammed has cut the old one
        self._hang_up()

    def _give_back(self, opened: bytes) -> bool:
        """End a session; one that cannot be told to expires by itself."""
        try:
            self._request("DELETE", f"/sessions/{json.loads(opened)['session']}", None)
        except (OSError, ValueError, OgcastError):
            return False
        return True

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
        if (exchange := self._exchange) is not None:
            exchange.cut()

    def _stop_listening(self) -> None:
        with contextlib.suppress(KeyError):  # somebody else took the last one meanwhile
            while self._listening:
                self._listening.popitem()[1].close()

    def _open(self) -> None:
        request = {  # SessionRequest
            "image": self.wish.image,
            "method": self.wish.method.upper(),
            "options": self.wish.options,
            "host": host_name(),
            "listening": True,  # that is, it lacks every chunk, where there is nothing to listen to
        }
        try:
            if self._chooses and not _suits_group(self._settings):
                return
            self._opened = answer = self._request("POST", "/sessions", json.dumps(request).encode())
            opened = json.loads(answer)
            offer = next((offer for offer in opened["offers"] if offer["transport"] in self._early), None)
            if offer is not None:
                module, _, name = self._early[offer["transport"]].partition(":")
                listen = getattr(importlib.import_module(module), name)
                self._listening[offer["transport"]] = listen(
                    offer["parameters"], interface=self._settings.interface, session=answer, host=self._settings.host
                )
                threading.Thread(target=self._watch, name="early-listening", daemon=True).start()
            image = f"{opened['image']['name']}@{opened['image']['version']}"
            self._manifest = self._request("GET", f"/images/{image}/manifest", None)
        except Exception:  # the command meets the same trouble, and has the words for it
            self._hang_up()

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        exchange = self._exchange or self._connect()
        return exchange.ask(method, f"{API_PREFIX}{path}", body)

    def _connect(self) -> Exchange:
        host, port = self._settings.host, self._settings.port
        context = pinned_context(self._settings.certificate)
        plain = connect_blocking(host, port, timeout_s=TIMEOUT_S)
        try:
            sock = context.wrap_socket(plain, server_hostname=plain_name(host))
        except BaseException:
            plain.close()
            raise
        name = f"[{host}]" if ":" in host else host
        self._exchange = Exchange(sock, host=f"{name}:{port}", token=self._settings.token)
        return self._exchange

    def _hang_up(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()


_begun: EarlySession | None = None


def begin(arguments: Sequence[str]) -> EarlySession | None:
    """Open the session this command line will want, if it is one to open early. Never raises for bad input."""
    global _begun
    try:
        wish = read_wish(arguments)
        if wish is None:
            return None
        ways = listeners_for(wish.protocol, chooses=wish.chooses)
        opens = bool(ways) or wish.protocol in SILENT
        settings = read_settings(wish.config, repo=wish.repo, interface=wish.interface) if opens else None
        if settings is None or _unfinished(settings.state_path):
            return None
    except (OgcastError, OSError):
        return None
    _begun = EarlySession(wish, settings, ways, chooses=wish.chooses)
    with contextlib.suppress(ImportError):  # while the answer is awaited: what is sent before it listens is lost
        for path in ways.values():
            importlib.import_module(path.partition(":")[0])
    if ways:
        until = time.monotonic() + HEAD_START_S
        _begun.wait(HEAD_START_S)
        if _begun.listens_to_group:
            _wait_for_others(until)
    return _begun


def _wait_for_others(until: float) -> None:
    while time.monotonic() < until and _is_crowded():
        time.sleep(OTHERS_LOOK_S)


def _is_crowded() -> bool:
    """Whether more wants to run on this machine than it has processors."""
    try:
        with open(LOADAVG, encoding="ascii") as file:
            return int(file.read().split()[3].partition("/")[0]) > (os.cpu_count() or 1)
    except (OSError, ValueError, IndexError):
        return False


def _unfinished(state_path: str) -> bool:
    """Whether there is a journal."""
    try:
        return any(name.endswith(JOURNAL) for name in os.listdir(state_path))
    except FileNotFoundError:
        return False


def _suits_group(settings: FirstSettings) -> bool:
    """Whether the link is one to listen on at all; the command looks again, and says why."""
    from client.proto.picker import against_group
    from core.link import link_of, link_towards

    link = link_of(settings.interface) if settings.interface else link_towards(settings.host)
    return link is None or not against_group(link.bytes_per_s, wireless=link.wireless)


def manifest(ref: ImageRef) -> bytes | None:
    """The manifest that came with the session `begin` is opening; blocks until it is there. None: ask for it."""
    return None if _begun is None else _begun.manifest(ref)


def begun_at() -> float | None:
    """When `begin` began to open a session, by the monotonic clock; None where it opens none."""
    return None if _begun is None else _begun.begun_at


def hand_over() -> EarlySession | None:
    """The session `begin` is opening; the caller takes or closes it. None the second time."""
    global _begun
    begun, _begun = _begun, None
    return begun
