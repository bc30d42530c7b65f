"""What the commands share."""

from __future__ import annotations

import pytest

from repod.commands.common import emit_table, human_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (2048 << 40, "2048.0 TiB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_columns_are_aligned_and_no_line_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table([("NAME", "SIZE"), ("a-long-name", "1"), ("b", "")])
    assert capsys.readouterr().out == "NAME         SIZE\na-long-name  1\nb\n"
