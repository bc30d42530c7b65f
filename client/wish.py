"""What a command line asks for, read before anything is there that could read all of it."""

from __future__ import annotations

import itertools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Wish", "read_wish"]

COMMANDS = ("restore", "deploy")
_BEFORE = ("--config", "--repo", "--interface")
"""Options before the command that have a value."""
_AUTO, _DIRECT = "AUTO", "DIRECT"
"""Words of methods (transports/methods.py, which is not there yet)."""


class Wish:
    """What matters here. Not a dataclass: making one takes a tenth of what opening a session early may."""

    def __init__(
        self, *, image: str, method: str, options: str, config: str | None, repo: str | None, interface: str | None
    ) -> None:
        self.image = image
        self.method = method
        self.options = options
        self.config = config
        self.repo = repo
        self.interface = interface

    @property
    def chooses(self) -> bool:
        """No transport is named."""
        return self.protocol == _AUTO

    @property
    def protocol(self) -> str:
        """The protocol's part of the method, upper case."""
        return self.method.strip().upper().partition("-")[0]


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
    if method.strip().upper() == _AUTO and words[at] == "restore":
        method = f"{_AUTO}-{_DIRECT}"
    protocol, _, target = method.strip().upper().partition("-")
    if not protocol.isalnum() or target != _DIRECT:
        return None
    return Wish(
        image=words[at + 1],
        method=method,
        options=given.get("--options") or given.get("--protocol-options") or "",
        config=before.get("--config"),
        repo=before.get("--repo"),
        interface=before.get("--interface"),
    )
