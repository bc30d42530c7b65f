"""repod rm: what is named goes, or nothing does."""

from __future__ import annotations

import pytest


@pytest.fixture
def three(publish) -> None:
    for content in (b"x", b"y", b"z"):
        publish("win", content * 1000)


def names(outcome) -> list[int]:
    return [image["version"] for image in outcome.json["images"]]


def test_without_a_version_the_newest_goes(repod, layout, three) -> None:
    outcome = repod("rm", layout.root, "win")
    assert "removed win@3" in outcome.out
    assert "win@1, win@2" in outcome.out
    assert names(repod("ls", layout.root, "--json")) == [1, 2]


def test_a_version_or_all_of_them(repod, layout, three) -> None:
    repod("rm", layout.root, "win@2")
    assert names(repod("ls", layout.root, "--json")) == [1, 3]
    repod("rm", layout.root, "win", "--all")
    assert names(repod("ls", layout.root, "--json")) == []


def test_one_wrong_name_removes_nothing(repod, layout, three) -> None:
    assert repod("rm", layout.root, "win", "linux").code == 2
    assert repod("rm", layout.root, "win", "../x").code == 1
    assert names(repod("ls", layout.root, "--json")) == [1, 2, 3]
