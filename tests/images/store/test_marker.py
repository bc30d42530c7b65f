from __future__ import annotations

from pathlib import Path

from images.store.marker import repository_around
from images.store.paths import RepositoryPaths


def test_a_path_is_known_to_lie_in_a_repository_of_any_version(tmp_path: Path) -> None:
    paths = RepositoryPaths(tmp_path / "repo")
    paths.create()
    assert repository_around(paths.pack(7)) == tmp_path / "repo"
    assert repository_around(tmp_path / "repo") is None
    paths.format.write_text("ogcast-repository 99\n")
    assert repository_around(tmp_path / "repo" / "x") == tmp_path / "repo"
    (tmp_path / "format").write_text("of something else\n")
    assert repository_around(tmp_path / "x") is None
