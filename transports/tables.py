"""Reading a table [transports.NAME] of repod.toml into the settings of that transport."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from core.errors import UsageError

__all__ = ["check_number", "read_table"]

Settings = TypeVar("Settings")


def read_table(
    kind: type[Settings], table: Mapping[str, Any], *, name: str, check: Callable[[str, Any, object], object]
) -> Settings:
    """The dataclass `kind` with the values of `table`, the table of transport `name`.

    `check` is given key, value and default, and returns the value to take. UsageError for a key there is none of, and
    whatever `check` raises.
    """
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"unknown setting transports.{name}.{key}",
                hint=f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}",
            )
        values[key] = check(key, value, known[key].default)
    return kind(**values)


def check_number(where: str, value: Any, bounds: tuple[float, float], *, whole: bool) -> float:
    """`value` of the setting `where`, inside `bounds`, and an integer if `whole`. UsageError for anything else."""
    least, most = bounds
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not least <= value <= most:
        raise UsageError(
            f"{where} = {value!r}",
            hint=f"a {'whole ' if whole else ''}number from {least:g} to {most:g} is expected",
        )
    return int(value) if whole else float(value)
