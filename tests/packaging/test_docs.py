"""Documents stay true: links lead somewhere, commands exist, and no page knows the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
HERE = (f"{ROOT}/", f"{Path.home()}/")
"""Folders that mean something on this machine only."""
PROMISES = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [target for target in LINK.findall(path.read_text()) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_states_facts_and_no_promises(path: Path) -> None:
    assert PROMISES.findall(path.read_text()) == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    found = []
    for name in listed.stdout.splitlines():
        if (ROOT / name).suffix in (".py", ".toml", ".md", ".json", "") and (ROOT / name).is_file():
            text = (ROOT / name).read_text(errors="replace")
            found += [name for place in HERE if place in text]
    assert found == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"^ *make ([a-z-]+)", "\n".join(_code(ROOT / page)), re.MULTILINE))
        assert named <= targets, page


def _code(path: Path) -> list[str]:
    """Indented blocks and back-quoted words of a page."""
    text = path.read_text()
    return re.findall(r"^    .*$", text, re.MULTILINE) + re.findall(r"`([^`]+)`", text)
