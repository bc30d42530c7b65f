"""repod export: the bytes come back, in every format."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from core.cli import run
from images.torrent.metainfo import parse_metainfo
from repod.cli import app

CONTENT = random.Random(2).randbytes(300_000)


def test_raw_is_the_image(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "win", tmp_path / "out").code == 0
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_what_was_written_is_said(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    words = ("export", layout.root, "win", tmp_path / "out")
    ended = repod(*words)
    assert ended.out.startswith(f"win@1: 293.0 KiB partition, 293.0 KiB of data, written to {tmp_path / 'out'} (raw), ")
    assert (len(ended.out.splitlines()), ended.err) == (1, "")
    done = repod(*words, "--json", "--format", "zst").json
    assert (done["event"], done["image"], done["out"]) == ("done", "win@1", str(tmp_path / "out"))
    assert (done["format"], done["size"], done["data_bytes"]) == ("zst", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_file_name_that_is_no_text_is_written_to(repod, layout, publish, tmp_path, words: tuple[str, ...]) -> None:
    publish("win", CONTENT)
    out = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    ended = repod("export", layout.root, "win", out, *words)
    assert (ended.code, "udcff" in ended.out) == (0, True)
    assert Path(out).read_bytes() == CONTENT


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_on_standard_output_is_the_file_alone(layout, publish, capfdbinary, words: tuple[str, ...]) -> None:
    publish("win", CONTENT)
    assert run(app, ["export", str(layout.root), "win", "-", *words]) == 0
    out, err = capfdbinary.readouterr()
    assert out == CONTENT
    assert b"win@1" in err


def test_a_published_torrent_is_told_to_programs(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    done = repod("export", layout.root, "win", tmp_path / "x.torrent", "--torrent", "--json").json
    listed = repod("torrents", layout.root, "--json").json["torrents"]
    assert [{name: done[name] for name in listed[0]}] == listed
    assert (done["event"], done["is_new"], done["torrent"]) == ("done", True, str(tmp_path / "x.torrent"))
    assert done["urls"][0].startswith("https://127.0.0.1:8717/torrents/")


@pytest.mark.tools("zstd")
def test_zst_is_read_by_zstd(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "win@1", tmp_path / "out.zst", "--format", "zst").code == 0
    assert subprocess.run(["zstd", "-dcq", tmp_path / "out.zst"], capture_output=True).stdout == CONTENT


def test_wrong_names_and_formats_write_nothing(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "linux", tmp_path / "out").code == 2
    assert repod("export", layout.root, "win", tmp_path / "out", "--format", "tar").code == 1
    assert not (tmp_path / "out").exists()


def test_no_place_to_write_to_is_said_wherever_one_stands(repod, layout, publish, monkeypatch) -> None:
    publish("win", CONTENT)
    monkeypatch.chdir(layout.root)
    outcome = repod("export", layout.root, "win")
    assert (outcome.code, "say where the file goes" in outcome.err) == (1, True)


def test_the_repository_s_own_files_are_not_written_over(repod, layout, publish, tmp_path, monkeypatch) -> None:
    publish("win", CONTENT)
    key = layout.signing_key.read_bytes()
    (tmp_path / "link").symlink_to(layout.signing_key)
    monkeypatch.chdir(layout.root)
    for arguments in (["signing.key"], [tmp_path / "link"], ["packs/x", "--format", "zst"], ["--torrent"]):
        outcome = repod("export", layout.root, "win", *arguments)
        assert (outcome.code, "inside the repository" in outcome.err) == (1, True)
    assert layout.signing_key.read_bytes() == key
    assert not list(layout.root.rglob("*.torrent"))


def test_links_that_go_round_in_a_circle_and_folders_that_are_no_repository_are_told(
    repod, layout, publish, tmp_path, monkeypatch
) -> None:
    publish("win", CONTENT)
    monkeypatch.chdir(tmp_path)
    Path("one").symlink_to("other")
    Path("other").symlink_to("one")
    outcome = repod("export", layout.root, "win", "one")
    assert (outcome.code, "Too many levels of symbolic links" in outcome.err) == (1, True)
    assert repod("export", "one", "win", "out").code == 23
    outcome = repod("export", ".", "win", "out")
    assert (outcome.code, "not a repository" in outcome.err) == (23, True)
    assert not Path("out").exists()


def test_a_torrent_is_published_and_written_for_its_owner_only(repod, layout, publish, tmp_path, monkeypatch) -> None:
    publish("win", CONTENT)
    monkeypatch.chdir(tmp_path)
    outcome = repod("export", layout.root, "win", "--torrent")
    assert outcome.code == 0
    assert "win@1.zst" in outcome.out
    assert "aria2c --ca-certificate=tls.crt https://127.0.0.1:8717/torrents/" in outcome.out
    torrent = tmp_path / "win@1.zst.torrent"
    assert torrent.stat().st_mode & 0o777 == 0o600
    assert parse_metainfo(torrent.read_bytes()).name == "win@1.zst"
    again = repod("export", layout.root, "win", "--torrent")
    assert "published before" in again.out


def test_a_torrent_may_go_to_standard_output_and_name_other_addresses(layout, publish, capfdbinary) -> None:
    publish("win", CONTENT)
    code = run(
        app,
        [
            *("export", str(layout.root), "win", "-", "--torrent", "--format", "raw"),
            *("--url", "http://10.0.0.5:8727", "--url", "http://10.1.0.5:8727/"),
        ],
    )
    out, err = capfdbinary.readouterr()
    metainfo = parse_metainfo(out)
    assert code == 0
    assert [url[:20] for url in metainfo.announce] == ["http://10.0.0.5:8727", "http://10.1.0.5:8727"]
    assert metainfo.hashes.length == len(CONTENT)
    assert b"aria2c http://10.0.0.5:8727/torrents/" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["win"],
        ["win", "out", "--url", "http://h"],
        ["win", "--torrent", "--format", "partclone"],
        ["win", "--torrent", "--url", "h"],
    ],
)
def test_what_makes_no_sense_publishes_nothing(repod, layout, publish, tmp_path, monkeypatch, arguments) -> None:
    publish("win", CONTENT)
    monkeypatch.chdir(tmp_path)
    assert repod("export", layout.root, *arguments).code == 1
    assert repod("torrents", layout.root).out == "no torrents\n"
    assert not list(tmp_path.glob("*out*"))


def test_a_torrent_that_cannot_be_written_is_not_published(repod, layout, publish, tmp_path) -> None:
    publish("win", CONTENT)
    assert repod("export", layout.root, "win", tmp_path / "none" / "x.torrent", "--torrent").code == 3
    assert repod("torrents", layout.root).out == "no torrents\n"
