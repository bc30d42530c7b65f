"""What the commands share."""

from __future__ import annotations

import pytest

from repod.commands.common import emit_table


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("serve", ()),
        ("sessions", ()),
        ("import", ("SOURCE", "--name", "win")),
        ("ls", ()),
        ("show", ("win",)),
        ("verify", ()),
        ("export", ("win", "-")),
        ("torrents", ()),
        ("rm", ("win",)),
        ("gc", ()),
        ("diff", ("win", "linux")),
        ("token", ("--list",)),
    ],
)
def test_what_is_no_repository_ends_every_command_alike(repod, tmp_path, command: str, words: tuple[str, ...]) -> None:
    gone, other = tmp_path / "gone", tmp_path
    ended = repod(command, gone, *words)
    assert (ended.code, ended.err.splitlines()[0]) == (2, f"error: no repository at {gone}")
    ended = repod(command, other, *words)
    assert (ended.code, ended.err.splitlines()[0]) == (23, f"error: {other} is not a repository")


def test_columns_are_aligned_and_no_line_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table([("NAME", "SIZE"), ("a-long-name", "1"), ("b", "")])
    assert capsys.readouterr().out == "NAME         SIZE\na-long-name  1\nb\n"
