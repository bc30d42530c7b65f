from __future__ import annotations

import errno
import io
import json
from typing import Any

import pytest

from client.events import JsonReporter, PlainReporter, error_fields, human_seconds, sentence, summary
from core.errors import TargetTooSmallError

PROGRESS: dict[str, Any] = {
    "state": "transferring",
    "done_bytes": 1 << 20,
    "total_bytes": 1 << 30,
    "rate_bytes_per_s": 1 << 20,
    "left_s": 1023.0,
    "brake": "network",
    "seconds": 1.0,
}
DONE: dict[str, Any] = {
    "command": "restore",
    "image": "pc1@1",
    "target": "/dev/sda1",
    "bytes_by_source": {"repository": 5 << 20},
    "bytes_resumed": 1 << 20,
    "seconds": 2.04,
    "rate_bytes_per_s": 3 << 20,
    "brake": "disk",
}


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.event("notice", {"message": "ñ\n"})
    reporter.event("done", DONE)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["notice", "done"]


def test_plain_progress_is_a_line_every_few_seconds_and_the_result_goes_to_standard_output() -> None:
    log, out = io.StringIO(), io.StringIO()
    reporter = PlainReporter(log=log, out=out)
    for tenth in range(100):
        reporter.event("progress", {**PROGRESS, "seconds": tenth / 10})
    assert len(log.getvalue().splitlines()) == 2
    assert "1.0 MiB/s, 17:03 left, brake: network" in log.getvalue()
    reporter.event("done", DONE)
    assert out.getvalue() == (
        "[100] restore pc1@1 to /dev/sda1: 5.0 MiB from repository, 1.0 MiB was there already; "
        "2.0 s, 3.0 MiB/s, brake: disk\n"
    )


def test_an_output_that_went_away_is_no_error() -> None:
    out = io.StringIO()
    out.close()
    JsonReporter(out).event("done", {})
    PlainReporter(log=out, out=out).event("notice", {"message": "x"})


def test_a_file_name_that_is_no_utf8_loses_no_event() -> None:
    target = b"/srv/a\xff.img".decode("utf-8", "surrogateescape")
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    JsonReporter(out).event("done", {**DONE, "target": target, "update": {"target": target, "parts": [target]}})
    assert json.loads(raw.getvalue())["target"] == "/srv/a\\udcff.img"
    raw.truncate(0)
    raw.seek(0)
    PlainReporter(log=out, out=out).event("done", {**DONE, "target": target})
    assert b"/srv/a\\udcff.img" in raw.getvalue()


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_on_a_full_disk_does_not_end_a_restore() -> None:
    JsonReporter(FullDisk()).event("progress", PROGRESS)
    PlainReporter(log=FullDisk(), out=FullDisk()).event("progress", PROGRESS)


def test_events_are_sentences_with_the_markers_of_opengnsys() -> None:
    assert sentence("stage", {"stage": "restore", "message": "x"}) == "[55] x"
    assert sentence("stage", {"stage": "sync", "message": "x"}) == "[ ] x"
    assert sentence("retry", {"message": "x", "delay_s": 2}) == "warning: x; trying again in 2 s"
    assert "chunk 3 from peer" in (sentence("bad-chunk", {"chunk": 3, "source": "peer", "message": "x"}) or "")
    assert sentence("transport-given-up", {"transport": "t", "message": "x"}) == "warning: transport t given up: x"
    assert "pack 1 at 2" in (sentence("damaged-chunk", {"digest": "ab", "pack": 1, "offset": 2, "message": "x"}) or "")
    assert sentence("damaged-chunk", {"digest": "ab", "pack": None, "offset": None, "message": "x"}) == (
        "damaged: chunk ab…: x"
    )
    assert sentence("damaged-image", {"image": "a@1", "message": "x"}) == "damaged: a@1: x"
    assert sentence("interrupted", {"message": "x"}) == "x"
    assert "place 2 in the queue" in (sentence("waiting-for-turn", {"position": 2}) or "")
    assert sentence("waiting-for-turn", {"position": 0}) is None
    assert sentence("of-a-transport", {"position": 2}) is None


def test_a_result_with_words_of_its_own_keeps_them() -> None:
    assert summary({"summary": "three images"}) == "three images"


def test_words_for_people_are_not_repeated_to_programs() -> None:
    out = io.StringIO()
    JsonReporter(out).event("done", {"command": "cache ls", "summary": "three images"})
    assert json.loads(out.getvalue()) == {"event": "done", "command": "cache ls"}


def test_a_result_that_moved_nothing_names_no_rate_and_no_brake() -> None:
    fields = {"command": "update-cache", "image": "a@1", "bytes_by_source": {}, "seconds": 0.5, "rate_bytes_per_s": 0}
    assert summary({**fields, "brake": None}) == "[100] update-cache a@1: nothing to fetch; 0.5 s"


@pytest.mark.parametrize(("target", "said"), [("null:", " to null: "), ("/dev/sda2", " to /dev/sda2: ")])
def test_a_target_is_followed_by_one_colon(target: str, said: str) -> None:
    fields = {"command": "restore", "image": "a@1", "target": target, "bytes_by_source": {"repository": 5}}
    assert summary({**fields, "seconds": 0.5, "rate_bytes_per_s": 0}) == (
        f"[100] restore a@1{said}5 bytes from repository; 0.5 s"
    )


def test_an_error_carries_its_exit_code() -> None:
    fields = error_fields(TargetTooSmallError("too small", hint="buy a disk"))
    assert fields == {"code": 30, "error": "TargetTooSmallError", "message": "too small", "hint": "buy a disk"}


def test_numbers_are_readable() -> None:
    assert [human_seconds(seconds) for seconds in (0, 61, 3600)] == ["0:00", "1:01", "1:00:00"]
