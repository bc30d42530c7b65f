"""`python -m repod` is the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_wrong_usage_ends_with_code_1() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "repod", "nothing"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr
