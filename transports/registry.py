"""Which transports exist: those of ogcast itself and those other distributions bring by entry point.

Looking up imports only the small `TransportSpec` of each transport; server and client halves are loaded when used.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from core.errors import UsageError
from transports.base import ClientContext, ClientTransport, Offer, ServerContext, ServerTransport, TransportSpec

__all__ = [
    "BUILT_IN",
    "GROUP",
    "by_name",
    "by_protocol",
    "client_offer",
    "knows",
    "load_client",
    "load_server",
    "settings_of",
    "specs",
]

GROUP = "ogcast.transports"
_CLOSE = 0.8
"""Likeness of a typing error; MULTICAST is no misspelt UNICAST."""

# A checkout that is not installed has no entry points, so ogcast's own transports are named here as well. Installed,
# the same value appears in the group too and counts once.
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "multicast": "transports.multicast:TRANSPORT",
        "p2p": "transports.p2p:TRANSPORT",
        "unicast": "transports.unicast:TRANSPORT",
    }
)


@functools.cache
def specs() -> Mapping[str, TransportSpec]:
    """Every known transport by name, in a fixed order. Raises UsageError for a broken or duplicate entry point."""
    from importlib import metadata  # a tenth of a client's start, which needs a transport of ogcast's own mostly

    return collect((point.name, point.value) for point in metadata.entry_points(group=GROUP))


def collect(entry_points: Iterable[tuple[str, str]]) -> Mapping[str, TransportSpec]:
    """`specs` for given (name, value) pairs: what it does, without what happens to be installed."""
    paths = dict(BUILT_IN)
    for name, value in entry_points:
        if paths.setdefault(name, value) != value:
            raise UsageError(
                f"two transports are called {name!r}: {paths[name]} and {value}",
                hint="uninstall one of the distributions that bring it",
            )
    found: dict[str, TransportSpec] = {}
    words: dict[str, str] = {}
    for name in sorted(paths):
        spec = _load(paths[name], what=f"transport {name!r}")
        if not isinstance(spec, TransportSpec) or spec.name != name:
            raise UsageError(
                f"entry point {name!r} of group {GROUP} does not name a TransportSpec of that name",
                hint="this is a fault of the distribution that brings the transport",
            )
        if words.setdefault(spec.protocol.upper(), name) != name:
            raise UsageError(
                f"transports {words[spec.protocol.upper()]!r} and {name!r} both claim the protocol {spec.protocol}",
                hint="uninstall one of the distributions that bring them",
            )
        found[name] = spec
    return MappingProxyType(found)


def _installed() -> Iterator[TransportSpec]:
    """All of `specs`, looked for when the first is asked for."""
    yield from specs().values()


@functools.cache
def _own(name: str) -> TransportSpec:
    """One of ogcast's own, without a look at what else is installed."""
    return cast(TransportSpec, _load(BUILT_IN[name], what=f"transport {name!r}"))


def knows(name: str) -> bool:
    """Whether an offer of this transport can be taken."""
    return name in BUILT_IN or name in specs()


def by_name(name: str) -> TransportSpec:
    """The transport an offer names. UsageError lists the known ones."""
    if name in BUILT_IN:
        return _own(name)
    try:
        return specs()[name]
    except KeyError:
        raise _unknown("transport", name, list(specs())) from None


def by_protocol(word: str) -> TransportSpec:
    """The transport an operator names by the protocol part of a method. UsageError lists the known ones."""
    own = (_own(name) for name in BUILT_IN)
    for spec in itertools.chain(own, _installed()):
        if spec.protocol.upper() == word.upper():
            return spec
    raise _unknown("protocol", word, [spec.protocol for spec in specs().values()])


def client_offer(offers: Iterable[Offer]) -> Offer | None:
    """The first of `offers` this installation has a transport for, in the order the repository prefers."""
    return next((offer for offer in offers if knows(offer.transport)), None)


def load_server(spec: TransportSpec) -> Callable[[ServerContext], ServerTransport]:
    """Import the server half of `spec`."""
    return cast(Callable[[ServerContext], ServerTransport], _load(spec.server, what=f"server of {spec.name!r}"))


def load_client(spec: TransportSpec) -> Callable[[ClientContext], ClientTransport]:
    """Import the client half of `spec`."""
    return cast(Callable[[ClientContext], ClientTransport], _load(spec.client, what=f"client of {spec.name!r}"))


def settings_of(spec: TransportSpec) -> type[Any] | None:
    """The dataclass of its table in repod.toml, if it has one."""
    return cast("type[Any]", _load(spec.settings, what=f"settings of {spec.name!r}")) if spec.settings else None


def _load(path: str, *, what: str) -> object:
    module, _, attribute = path.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{what} cannot be loaded from {path}: {error}", hint="is its package installed?") from error
    return found


def _unknown(what: str, word: str, known: list[str]) -> UsageError:
    from difflib import get_close_matches  # only on the way out

    close = get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=_CLOSE)
    guess = next((name for name in known if close and name.lower() == close[0]), None)
    hint = f"known: {', '.join(known)}"
    return UsageError(f"unknown {what} {word!a}", hint=f"did you mean {guess}? ({hint})" if guess else hint)
