"""`__all__` of every module names what exists, and packages only hand on what their modules offer."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "images", "transports", "repod", "client", "bench")
ENTRY_FILES = {"__main__.py"}
"""Started, not imported."""


def _modules() -> list[str]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name not in ENTRY_FILES:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@pytest.mark.parametrize("name", _modules())
def test_every_exported_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [one for one in exported if not hasattr(module, one)] == []
    assert len(exported) == len(set(exported))
    source = Path(module.__file__ or "")
    if source.name != "__init__.py":
        assert hasattr(module, "__all__"), "a module says what it offers"


def _packages() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))


@pytest.mark.parametrize("path", _packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_only_hands_on(path: Path) -> None:
    assert [ast.unparse(node) for node in ast.parse(path.read_text()).body if not _hands_on(node)] == []


def _hands_on(node: ast.stmt) -> bool:
    """Whether it imports, names or explains; or does so later (PEP 562), with the imports that type checkers read."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assign() | ast.AnnAssign() | ast.Expr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=[]):
            return all(isinstance(one, ast.ImportFrom) for one in body)
        case ast.FunctionDef(name="__getattr__"):
            return True
    return False
