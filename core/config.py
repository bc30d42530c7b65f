"""One typed loader for settings: defaults, then a TOML file, then the environment, then flags really given.

Settings are frozen dataclasses whose fields are made by `setting`. A field of dataclass type is a table of the file
(`limits.sessions`, `REPOD_LIMITS_SESSIONS`); a field of type `Mapping[str, Mapping[str, Any]]` takes free tables that
somebody else checks. Every value knows where it came from, so that `render` can answer "why is it so?".
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from core.errors import NotFoundError, UsageError
from core.interrupts import held_interrupts
from core.plain_toml import read_plain

__all__ = ["CONFIG_MAX_BYTES", "Loaded", "load", "parse_toml", "render", "render_template", "setting", "toml_value"]

CONFIG_MAX_BYTES = 1 << 20
"""A settings file larger than this is not a settings file."""

T = TypeVar("T")

_HIDDEN = "(hidden)"


class Loaded(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Settings and, for each dotted key, where its value came from."""

    value: T
    origins: Mapping[str, str]
    """`limits.sessions` → `default`, `environment (REPOD_LIMITS_SESSIONS)`, `flag` or the file's path."""


class _Key(msgspec.Struct, frozen=True):
    """One setting of a dataclass tree."""

    path: tuple[str, ...]
    type: Any
    field: dataclasses.Field[Any]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    def environment(self, prefix: str) -> str:
        return prefix + "_".join(self.path).upper()


def setting(*, doc: str, default: Any = dataclasses.MISSING, secret: bool = False) -> Any:
    """A dataclass field that is a setting. `doc` says meaning and unit; it is shown in files and help.

    A secret's value is never rendered. Without `default` the setting must be given.
    """
    metadata = {"doc": doc, "secret": secret}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. NotFoundError if it is missing, UsageError if it cannot be read or parsed."""
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"no configuration file {path}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > CONFIG_MAX_BYTES:
        raise UsageError(f"{path} is larger than {CONFIG_MAX_BYTES} bytes", hint="this is not a configuration file")
    try:
        text = data.decode("utf-8-sig")  # editors of Windows put a mark before the first line
        plain = read_plain(text)
        return _parsed(text) if plain is None else {**plain}
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def _parsed(text: str) -> dict[str, Any]:
    import tomllib  # its patterns are compiled on import, and what `repod init` writes for clients is plain

    return tomllib.loads(text)


def load(
    cls: type[T],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    env_prefix: str = "",
    flags: Mapping[str, object] | None = None,
    where_else: Callable[[str], str | None] = lambda key: None,
) -> Loaded[T]:
    """Settings of dataclass `cls` from all sources.

    `where_else` is asked about an unknown key of the file: a hint where it belongs, if it knows one.
    `flags` maps dotted keys to values; None means "not given". Variables of the environment that name no setting
    are ignored (the prefix is shared with scripts); unknown keys of the file are errors.
    Raises UsageError naming the place and the key. `cls.__post_init__` may raise ValueError for contradictions.
    """
    with held_interrupts():
        return _load(cls, file, environ, env_prefix, flags or {}, where_else)


def _load(
    cls: type[T],
    file: Path | None,
    environ: Mapping[str, str] | None,
    env_prefix: str,
    flags: Mapping[str, object],
    where_else: Callable[[str], str | None],
) -> Loaded[T]:
    keys = {key.dotted: key for key in _keys(cls)}
    given: dict[str, tuple[object, str, bool]] = {}
    if file is not None:
        for dotted, value in _flatten(parse_toml(file), keys, str(file), where_else):
            given[dotted] = (value, str(file), True)
    for dotted, key in keys.items():
        variable = key.environment(env_prefix)
        if environ is not None and variable in environ and _scalar(key.type):
            given[dotted] = (environ[variable], f"environment ({variable})", False)
    for dotted, value in flags.items():
        if value is not None:
            given[dotted] = (value, "flag", True)

    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for dotted, key in keys.items():
        if dotted in given:
            value, origin, strict = given[dotted]
            values[dotted] = _convert(key, value, origin, strict=strict)
            origins[dotted] = origin
        elif key.field.default is dataclasses.MISSING and key.field.default_factory is dataclasses.MISSING:
            where = str(file) if file is not None else "the configuration"
            raise UsageError(
                f"{where}: key '{dotted}' is missing",
                hint=f"add it to the file or set {key.environment(env_prefix)}: {key.field.metadata.get('doc', '')}",
            )
        else:
            origins[dotted] = "default"
    try:
        return Loaded(value=_build(cls, values, ()), origins=origins)
    except ValueError as error:
        blamed: str | Path = _place(_override(str(error), origins, file) or file or "configuration")
        raise UsageError(f"{blamed}: {error}") from error


def render(loaded: Loaded[Any]) -> str:
    """Every value with its origin, as TOML with comments; secrets are hidden."""
    lines: list[str] = []
    for table, rows in _tables(type(loaded.value)):
        lines += ["", f"[{table}]"] if table else []
        for key in rows:
            value: Any = loaded.value
            for part in key.path:
                value = getattr(value, part)
            if key.field.metadata.get("secret") and value is not None:
                shown = f"{_HIDDEN!r}"
            else:
                shown = "(not set)" if value is None else toml_value(value)
            prefix = "# " if value is None else ""
            lines.append(f"{prefix}{key.path[-1]} = {shown}  # {loaded.origins[key.dotted]}")
    return "\n".join(lines).lstrip("\n") + "\n"


def render_template(
    cls: type[Any],
    *,
    heading: str,
    given: Mapping[str, object] | None = None,
    tables: Mapping[str, type[Any]] | None = None,
) -> str:
    """A settings file with every key documented: commented out at its default, or set to its value in `given`.

    `tables` are further ones, such as `transports.unicast`, wholly commented out.
    """
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    for table, rows in _tables(cls):
        lines += ["", f"[{table}]"] if table else []
        for key in rows:
            lines += ["", *(f"# {line}" for line in key.field.metadata.get("doc", "").splitlines())]
            value = (given or {}).get(key.dotted)
            if value is not None:
                lines.append(f"{key.path[-1]} = {toml_value(value)}")
                continue
            default = _default(key.field)
            example = '""' if default is dataclasses.MISSING or default is None else toml_value(default)
            lines.append(f"#{key.path[-1]} = {example}")
    for table, kind in (tables or {}).items():
        lines += ["", f"#[{table}]"]
        for field in dataclasses.fields(kind):
            lines += ["", *(f"# {line}" for line in field.metadata.get("doc", "").splitlines())]
            lines.append(f"#{field.name} = {toml_value(_default(field))}")
    return "\n".join(lines) + "\n"


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def toml_value(value: Any) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        text = str(value)
        plain = all(line.isprintable() for line in text.split("\n"))
        if "\n" in text and '"' not in text and "\\" not in text and plain:
            return f'"""\n{text}"""'
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()) + " }" if value else "{}"
        )
    return "[" + ", ".join(toml_value(item) for item in value) + "]"


def _keys(cls: type[Any], prefix: tuple[str, ...] = ()) -> Iterator[_Key]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _keys(kind, (*prefix, field.name))
        else:
            yield _Key((*prefix, field.name), kind, field)


def _tables(cls: type[Any]) -> Iterator[tuple[str, list[_Key]]]:
    """Keys by table, those without a table first, free tables left out."""
    grouped: dict[str, list[_Key]] = {"": []}
    for key in _keys(cls):
        if _scalar(key.type) or _is_list(key.type):
            grouped.setdefault(".".join(key.path[:-1]), []).append(key)
    yield from grouped.items()


def _flatten(
    table: Mapping[str, Any],
    keys: Mapping[str, _Key],
    where: str,
    where_else: Callable[[str], str | None],
    prefix: str = "",
) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        dotted = f"{prefix}{name}"
        if dotted in keys:
            yield dotted, value
        elif isinstance(value, dict) and any(known.startswith(f"{dotted}.") for known in keys):
            yield from _flatten(value, keys, where, where_else, f"{dotted}.")
        elif any(known.startswith(f"{dotted}.") for known in keys):
            raise UsageError(f"{where}: '{dotted}' is a table", hint=f"its keys follow a line [{dotted}]")
        else:
            hint = where_else(dotted) or _suggestion(dotted, keys)
            raise UsageError(f"{where}: unknown key {dotted!a}", hint=hint)  # it may hold what moves a cursor


def _place(origin: T) -> T | str:
    """An origin, for a person."""
    return "command line" if origin == "flag" else origin


def _override(message: str, origins: Mapping[str, str], file: Path | None) -> str | None:
    """The flag or variable that set a key which `message` names; None if all of them are as the file has them."""
    named = (origins.get(word, "default") for word in re.findall(r"[\w.]+", message))
    return next((origin for origin in named if origin not in ("default", str(file))), None)


def _suggestion(dotted: str, keys: Mapping[str, _Key]) -> str:
    from difflib import get_close_matches  # only on the way out

    # the table is right more often than not, and would make any of its keys look close
    table, _, name = dotted.rpartition(".")
    beside = {key.rpartition(".")[2]: key for key in keys if key.rpartition(".")[0] == table}
    near = [beside[word] for word in get_close_matches(name, beside, n=1)] or get_close_matches(
        dotted, keys, n=1, cutoff=0.8
    )
    return f"did you mean '{near[0]}'?" if near else "known keys: " + ", ".join(sorted(keys))


def _convert(key: _Key, value: object, origin: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, key.type, strict=strict, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise UsageError(
            f"{_place(origin)}: key '{key.dotted}': {error}", hint=key.field.metadata.get("doc") or None
        ) from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        if not isinstance(value, str | Path) or "\0" in str(value) or not str(value):
            raise ValueError("expected a path")
        return Path(value)
    raise NotImplementedError(f"no conversion to {kind}")


def _build(cls: type[T], values: Mapping[str, Any], prefix: tuple[str, ...]) -> T:
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # `cls` is a dataclass by contract
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            arguments[field.name] = _build(kind, values, (*prefix, field.name))
        elif (dotted := ".".join((*prefix, field.name))) in values:
            arguments[field.name] = values[dotted]
    build: Callable[..., T] = cls
    return build(**arguments)


def _plain(kind: Any) -> Any:
    """`kind` without Annotated and `| None`."""
    if typing.get_origin(kind) is typing.Annotated:
        return _plain(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(kind) if arm is not type(None)]
        return _plain(arms[0]) if len(arms) == 1 else kind
    return kind


def _scalar(kind: Any) -> bool:
    return _plain(kind) in (str, int, float, bool, Path)


def _is_list(kind: Any) -> bool:
    return typing.get_origin(_plain(kind)) in (list, tuple)
