"""Programs of the system."""

from __future__ import annotations

from images.importers.programs import find_program


def test_a_program_is_found_or_not() -> None:
    assert find_program("sh")
    assert find_program("no-such-program-here") is None
