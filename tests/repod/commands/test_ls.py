"""repod ls."""

from __future__ import annotations


def test_versions_are_listed_for_people_and_programs(repod, layout, publish) -> None:
    publish("win", b"x" * 100_000)
    publish("win", b"y" * 100_000)
    publish("linux", b"z" * 100_000)
    lines = repod("ls", layout.root).out.splitlines()
    assert [line.split()[0] for line in lines] == ["IMAGE", "linux@1", "win@1", "win@2"]
    images = repod("ls", layout.root, "win", "--json").json["images"]
    assert [(image["name"], image["version"]) for image in images] == [("win", 1), ("win", 2)]


def test_an_image_that_is_not_there_is_told_with_what_comes_close(repod, layout, publish) -> None:
    publish("linux", b"z" * 1000)
    outcome = repod("ls", layout.root, "linus")
    assert outcome.code == 2
    assert "did you mean linux?" in outcome.err


def test_a_damaged_manifest_is_named_and_hides_no_other(repod, layout, publish) -> None:
    publish("good", b"x" * 1000)
    publish("bad", b"y" * 1000)
    (layout.root / "manifests" / "bad" / "1.ogm").write_bytes(b"garbage")
    outcome = repod("ls", layout.root)
    assert "good@1" in outcome.out
    assert "bad@1" in outcome.err


def test_no_repository_is_an_error(repod, tmp_path) -> None:
    for root in (tmp_path / "none", tmp_path):
        outcome = repod("ls", root)
        assert outcome.code in (2, 23)
        assert "hint: " in outcome.err
