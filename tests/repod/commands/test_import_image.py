"""repod import: versions, what is known already, and sources that are none."""

from __future__ import annotations

import io
import random
import signal
from typing import Any

import pytest

import images.builder
from repod.commands.import_image import INTERRUPTED
from tests.images.partclone_images import v2_image

CONTENT = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.raw"
    path.write_bytes(CONTENT)
    return path


def test_the_store_of_a_relay_takes_no_imports(repod, relayed, tmp_path) -> None:
    source = tmp_path / "win.raw"
    source.write_bytes(bytes(70_000))
    outcome = repod("import", relayed.root, source, "--name", "win")
    assert outcome.code == 23
    assert "main repository" in outcome.err


def test_the_same_content_again_is_a_new_version_that_stores_nothing(repod, layout, source) -> None:
    first = repod("import", layout.root, source, "--name", "win", "--json", "--chunk-size", "1048576").json
    assert (first["event"], first["image"], first["size"], first["bytes_known"]) == ("done", "win@1", 3 << 20, 0)
    second = repod("import", layout.root, source, "--name", "win", "--json", "--chunk-size", "1048576").json
    assert (second["image"], second["bytes_stored"], second["bytes_known"]) == ("win@2", 0, 3 << 20)


def test_a_new_version_is_cut_as_the_one_before_unless_somebody_says_otherwise(repod, layout, source) -> None:
    def chunks(*options: str) -> int:
        return repod("import", layout.root, source, "--name", "win", "--json", *options).json["chunks"]

    assert [chunks("--chunk-size", "262144"), chunks(), chunks("--chunk-size", "1048576"), chunks()] == [12, 12, 3, 3]


def test_the_summary_is_for_people(repod, layout, source) -> None:
    outcome = repod("import", layout.root, source, "--name", "win", "--level", "1", "--workers", "2")
    assert outcome.code == 0
    assert outcome.out.startswith("win@1: 3.0 MiB partition")


def test_standard_input_is_a_source(repod, layout, monkeypatch, tmp_path, source) -> None:
    with source.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        import os

        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            assert repod("import", layout.root, "-", "--name", "piped", "--json").json["size"] == 3 << 20
        finally:
            os.dup2(saved, 0)
            os.close(saved)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nosuch.img", "--name", "win"], 2),
        (["SOURCE", "--name", "a/b"], 1),
        (["SOURCE", "--name", "x" * 300], 1),
        (["SOURCE", "--name", "ä"], 1),
        (["SOURCE"], 1),
        (["SOURCE", "--name", "win", "--chunk-size", "1000000"], 1),
        (["SOURCE", "--name", "win", "--level", "99"], 1),
    ],
)
def test_what_makes_no_sense_leaves_no_image(repod, layout, source, args, code) -> None:
    outcome = repod("import", layout.root, *(str(source) if arg == "SOURCE" else arg for arg in args))
    assert outcome.code == code
    assert outcome.err.startswith("error: ")
    assert repod("ls", layout.root, "--json").json == {"images": []}


def test_a_folder_that_is_no_repository_is_told(repod, tmp_path, source) -> None:
    assert repod("import", tmp_path / "none", source, "--name", "a").code == 2
    assert repod("import", tmp_path, source, "--name", "a").code == 23


def test_a_damaged_partclone_file_is_33_and_leaves_no_image(repod, layout, tmp_path) -> None:
    bad = tmp_path / "bad.img"
    bad.write_bytes(b"partclone-image\0" + bytes(100))
    outcome = repod("import", layout.root, bad, "--name", "bad")
    assert outcome.code == 33
    assert repod("ls", layout.root, "--json").json == {"images": []}


def test_what_the_source_has_to_say_is_told(repod, layout, tmp_path) -> None:
    old = tmp_path / "old.img"
    old.write_bytes(v2_image([b"a" * 512] * 8, mode=0))
    told = repod("import", layout.root, old, "--name", "old")
    assert told.code == 0
    assert "notice: the partclone image was made without checksums" in told.err
    assert "without checksums" in repod("import", layout.root, old, "--name", "old", "--json").json["notices"][0]


def test_ctrl_c_says_what_is_left_and_shows_no_image(repod, layout, source, monkeypatch: pytest.MonkeyPatch) -> None:
    build = images.builder.build_image

    def interrupted(*args: Any, **kwargs: Any) -> object:
        def on_progress(state: object) -> None:
            signal.raise_signal(signal.SIGINT)

        return build(*args, **{**kwargs, "progress": on_progress})

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    monkeypatch.setattr(images.builder, "build_image", interrupted)
    try:
        outcome = repod("import", layout.root, source, "--name", "win")
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.code == 130
    assert outcome.err.endswith(f"{INTERRUPTED}\n")
    assert repod("ls", layout.root, "--json").json == {"images": []}
    monkeypatch.undo()
    assert repod("import", layout.root, source, "--name", "win").code == 0
