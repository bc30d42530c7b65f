"""Machines whose clock is a year off take part in a swarm like any other.

Their only look at a clock of the day is at the dates of the certificate: one made a year ahead of this machine's clock
is what a client a year behind sees.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from repod.certificate import make_certificate
from repod.layout import Layout
from tests.client.conftest import make_room


@pytest.mark.parametrize("days", [-366, 366], ids=["a year ahead", "a year behind"])
def test_a_client_whose_clock_is_a_year_off_is_a_peer(tmp_path: Path, days: int) -> None:
    room = make_room(tmp_path)
    layout = Layout(room.root)
    before = layout.certificate.read_text()
    made = make_certificate(["127.0.0.1"], now=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days))
    layout.certificate.write_bytes(made.certificate)
    layout.tls_key.write_bytes(made.key)
    text = room.config.read_text()
    assert before in text
    room.config.write_text(text.replace(before, made.certificate.decode()))
    try:
        room.serve()
        targets = [tmp_path / "one.img", tmp_path / "two.img"]
        running = [
            room.start("restore", "room1", target, "--method", "TORRENT-DIRECT", "--no-seed") for target in targets
        ]
        for client, target in zip(running, targets, strict=True):
            ended = room.finished(client)
            assert ended.code == 0, ended.errors
            assert target.read_bytes() == room.image.content
            assert set(ended.last["bytes_by_source"]) - {"repository"} <= {
                source for source in ended.last["bytes_by_source"] if source.startswith("peer ")
            }
            assert ended.last["bad_chunks"] == 0
    finally:
        room.close()
