"""Running `repod` in this process: exit code, output, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from core.cli import run
from repod.cli import app


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of its output."""
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def repod(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`repod("ls", folder)` runs the command and gives its outcome."""
    monkeypatch.delenv("OGCAST_DEBUG", raising=False)

    def command(*args: object) -> Outcome:
        capfd.readouterr()
        code = run(app, [str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Outcome(code=code, out=out, err=err)

    return command
