"""NumPy's names of types are not imported by who starts, and are what they are for everybody who asks for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

PUT_OFF = "from core.startup import settle; settle(); import sys, numpy\n"
IMPORTED = "print(*sorted(name for name in sys.modules if name.startswith('numpy._typing.')))\n"


def _told(script: str) -> list[str]:
    command = [sys.executable, "-c", PUT_OFF + script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_they_are_there_in_numpy() -> None:
    done = subprocess.run([sys.executable, "-c", "import sys, numpy\n" + IMPORTED], capture_output=True, text=True)
    assert done.stdout.split()  # or nothing is saved


def test_a_start_leaves_them_out_and_numpy_computes_as_ever() -> None:
    script = """
from numpy.typing import NDArray
alias = NDArray[numpy.uint8] | None
values, vectors = numpy.linalg.eigh(numpy.eye(2))
print(NDArray is numpy.ndarray, values.sum())
"""
    assert _told(script + IMPORTED) == ["True", "2.0"]


def test_what_this_program_imports_of_numpy_leaves_them_out() -> None:
    script = """
import client.early, client.restore, client.direct, client.deployment
from transports import registry
for spec in registry.specs().values():
    registry.load_client(spec)
"""
    assert _told(script + IMPORTED) == []


@pytest.mark.parametrize(
    "asking",
    [
        "import numpy.typing as npt",
        "npt = numpy.typing",
        "from numpy import typing as npt",
        "import numpy.typing\nnpt = numpy.typing",
        "from numpy.typing import NDArray\nimport numpy.typing as npt",
    ],
)
def test_who_asks_for_another_name_gets_numpy_s_own(asking: str) -> None:
    script = "import typing\n" + asking + "\nprint(typing.get_origin(npt.ArrayLike), npt.NDArray[numpy.int8])\n"
    own = subprocess.run([sys.executable, "-c", "import numpy\n" + script], capture_output=True, text=True, check=True)
    told = _told(script)
    assert told[0] == own.stdout.split()[0]
    assert "ndarray" in told[-1] or "dtype" in told[-1]
    assert _told(asking + "\nnpt.ArrayLike\nprint(sys.modules['numpy.typing'].__file__ == numpy.typing.__file__)") == [
        "True"
    ]


def test_a_star_takes_all_of_them() -> None:
    assert _told("from numpy.typing import *\nprint(ArrayLike is numpy.typing.ArrayLike, DTypeLike is not None)") == [
        "True",
        "True",
    ]


def test_they_are_found_like_any_module_and_a_wrong_name_is_an_error_as_ever() -> None:
    script = """
from importlib.util import find_spec
print(find_spec("numpy.typing").name, numpy.typing.__name__)
try:
    from numpy.typing import Nothing
except ImportError as error:
    print("Nothing" in str(error))
"""
    assert _told(script) == ["numpy.typing", "numpy.typing", "True"]
