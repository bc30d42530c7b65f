"""repod init."""

from __future__ import annotations

import tomllib


def test_it_makes_a_repository_once(repod, tmp_path) -> None:
    root = tmp_path / "r"
    made = repod("init", root, "--host", "images.example.org", "--host", "10.0.0.5", "--port", "9000")
    assert made.code == 0
    assert "https://images.example.org:9000" in made.out
    assert tomllib.loads((root / "client.toml").read_text())["url"] == "https://images.example.org:9000"
    assert tomllib.loads((root / "repod.toml").read_text())["port"] == 9000
    before = (root / "client.toml").read_bytes()
    again = repod("init", root)
    assert (again.code, "already" in again.err) == (1, True)
    assert (root / "client.toml").read_bytes() == before


def test_a_place_that_cannot_be_is_a_clear_error(repod, tmp_path) -> None:
    (tmp_path / "file").touch()
    outcome = repod("init", tmp_path / "file" / "r")
    assert outcome.code in (1, 23)
    assert outcome.err.startswith("error: ")
