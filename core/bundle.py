"""The bytecode of a whole start in one file instead of hundreds.

For each module the interpreter looks at seven files and folders, opens one and checks it: as long again as most
modules take to run, and a client imports four hundred. A bundle has them all behind each other, and lies with the
bytecode it was made of, which nobody else may write either. A module is taken from it as long as its source is what it
was, told by size and time of change, as the interpreter itself tells for single files; any other module is found as
ever, and without a bundle all of them are. `write_bundle` belongs to installing: see `client.bundling`.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

__all__ = ["bundle_path", "use_bundle", "write_bundle"]

_LENGTH_BYTES = 8
"""In front: how long the index is that follows. Code follows the index."""
_Entry = tuple[str, int, int, bool, int, int]
"""Source; its size and time of change in ns; whether it is a package; where its code begins and ends."""


def bundle_path(package: str) -> str:
    """Where the bundle of the program in the folder `package` lies."""
    return os.path.join(package, "__pycache__", f"start.{sys.implementation.cache_tag}.bundle")


def use_bundle(path: str) -> bool:
    """Import from the bundle at `path` from now on. False if there is none that is whole and made for this interpreter
    with these places to look."""
    try:
        with open(path, "rb") as file:
            held = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        start = _LENGTH_BYTES + int.from_bytes(held[:_LENGTH_BYTES], "little")
        made_for, entries, end = marshal.loads(held[_LENGTH_BYTES:start])
    except (OSError, EOFError, ValueError, TypeError):
        return False
    if made_for != _surroundings() or len(held) != start + end:
        return False
    sys.meta_path.insert(0, _Finder(path, entries, held[start:]))
    return True


def write_bundle(path: str, modules: Iterable[ModuleType]) -> int:
    """Write those of `modules` that have a source; returns how many. Raises OSError; a reader sees all of it or the one
    before. Everybody may read it, and only who wrote it may write it, whatever umask says."""
    from pathlib import Path  # who only starts needs neither

    from core.files import write_atomically

    entries: dict[str, Any] = {}
    codes: list[bytes] = []
    end = 0
    for module in modules:
        spec = getattr(module, "__spec__", None)  # what a module put in its own place may have none
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.name != module.__name__:
            continue
        code = marshal.dumps(spec.loader.get_code(spec.name))
        seen = os.stat(spec.loader.path)
        package = spec.submodule_search_locations is not None
        entries[spec.name] = (spec.loader.path, seen.st_size, seen.st_mtime_ns, package, end, end + len(code))
        codes.append(code)
        end += len(code)
    index = marshal.dumps((_surroundings(), entries, end))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(Path(path), b"".join([len(index).to_bytes(_LENGTH_BYTES, "little"), index, *codes]))
    return len(entries)


def _surroundings() -> tuple[int, int, list[str]]:
    """What decides which file a module is, and what its code: the interpreter, -O, and where modules are looked for.
    The first place is that of the command itself, which has its own packages there or nothing."""
    return sys.hexversion, sys.flags.optimize, sys.path[1:]


class _Finder:
    """Goes before the interpreter's own; None leaves a module to them."""

    def __init__(self, path: str, entries: Mapping[str, _Entry], codes: memoryview) -> None:
        self._path = path
        self._entries = entries
        self._codes = codes

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if (entry := self._entries.get(name)) is None:
            return None
        source, size, changed_ns, package, start, end = entry
        try:
            seen = os.stat(source)
        except OSError:
            return None
        if (seen.st_size, seen.st_mtime_ns) != (size, changed_ns):
            return None
        spec = ModuleSpec(name, _Loader(name, source, self._codes[start:end]), origin=source, is_package=package)
        spec.has_location = True
        spec.cached = self._path
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(source))
        return spec


class _Loader(SourceFileLoader):
    """Of a module whose code is at hand; in all else that of its source."""

    def __init__(self, name: str, source: str, code: memoryview) -> None:
        super().__init__(name, source)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = marshal.loads(self._code)
        return code
