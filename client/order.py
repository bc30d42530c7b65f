"""What a `restore` or `deploy` is asked to do, and the command lines from which that is read without typer.

Typer and the declarations of all commands take a tenth of a restore's start. Lines that are written as people and
scripts write them are read here; every other, whatever is wrong with it, is left to typer, which has the words for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Order", "read_order"]

_COMMAND = "restore"
_VERIFY = ("none", "sample", "full")
"""As client.commands.options.Verify has them."""
_BEFORE = {"--config": "config", "--repo": "repo", "--interface": "interface"}
_VALUES = {
    "--method": "method",
    "--options": "options",
    "--protocol-options": "options",
    "--cache": "cache",
    "--verify": "verify",
}
_FLAGS = {
    "--fallback": ("fallback", True),
    "--no-fallback": ("fallback", False),
    "--seed": ("seed", True),
    "--no-seed": ("seed", False),
    "--discard": ("discard", True),
}


class Order:
    """The arguments of `restore` or `deploy`, as the command line has them. No dataclass: see Wish."""

    def __init__(
        self,
        *,
        name: str,
        target: str,
        method: str | None = None,
        options: str = "",
        fallback: bool = True,
        seed: bool | None = None,
        cache: str | None = None,
        verify: str = "none",
        discard: bool = False,
    ) -> None:
        """`seed`: None leaves it to the settings. `verify`: a value of client.readback.VerifyMode."""
        self.name = name
        self.target = target
        self.method = method
        self.options = options
        self.fallback = fallback
        self.seed = seed
        self.cache = cache
        self.verify = verify
        self.discard = discard


def read_order(arguments: Sequence[str]) -> tuple[Mapping[str, str | bool], Order] | None:
    """The options before the command that were given, by their names in client.run.Options, and the order; None for a
    line that is not a plain `restore`."""
    words = list(arguments)
    before: dict[str, str | bool] = {}
    while words and words[0].startswith("-"):
        if words[0] == "--json" and "json" not in before:
            before["json"] = bool(words.pop(0))
        elif (found := _value(words, _BEFORE)) is not None and found[0] not in before:
            before[found[0]] = found[1]
        else:
            return None
    if not words or words.pop(0) != _COMMAND:
        return None
    plain: list[str] = []
    given: dict[str, str] = {}
    flags: dict[str, bool] = {}
    while words:
        if not words[0].startswith("-"):
            plain.append(words.pop(0))
        elif words[0] in _FLAGS:
            name, value = _FLAGS[words.pop(0)]
            if name in flags:
                return None
            flags[name] = value
        elif (found := _value(words, _VALUES)) is not None and found[0] not in given:
            given[found[0]] = found[1]
        else:
            return None
    if len(plain) != 2 or not all(plain) or given.get("verify", "none") not in _VERIFY:
        return None
    order = Order(
        name=plain[0],
        target=plain[1],
        method=given.get("method"),
        options=given.get("options", ""),
        fallback=flags.get("fallback", True),
        seed=flags.get("seed"),
        cache=given.get("cache"),
        verify=given.get("verify", "none"),
        discard=flags.get("discard", False),
    )
    return before, order


def _value(words: list[str], names: Mapping[str, str]) -> tuple[str, str] | None:
    """Take an option of `names` and its value from the front of `words`; None if there is no plain one."""
    option, equals, value = words[0].partition("=")
    if option not in names:
        return None
    if not equals:
        value = words[1] if len(words) > 1 else ""
    if not value or value.startswith("-"):
        return None
    del words[: 1 if equals else 2]
    return names[option], value
