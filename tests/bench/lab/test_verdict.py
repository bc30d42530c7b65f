"""A verdict is given on what was measured, and never in favour of a transfer that does not count."""

from __future__ import annotations

from bench.lab.classroom import ClientRun, Transfer
from bench.lab.counters import path_counters
from bench.lab.peers import PeerRun
from bench.lab.race import Finish
from bench.lab.verdict import complaints, outcome, peer_row, transfer_row


def _transfer(seconds: float, *, complaint: str = "") -> Transfer:
    finish = Finish(code=0, started_s=0.1, ended_s=seconds, cpu_s=0.5)
    done = {
        "event": "done",
        "seconds": seconds - 0.5,
        "bad_chunks": 2,
        "bytes_by_source": {"multicast": 70, "repository": 30},
    }
    run = ClientRun(
        host="c1",
        finish=finish,
        events=[{"event": "stage", "seconds": 0.3}, done],
        last_event_s=seconds,
        complaint=complaint,
    )
    moved = path_counters("server", {}, (0, 0, 0), (110, 1, 0))
    return Transfer(clients={"c1": run}, server_cpu_s=1.0, moved={"server": moved})


def test_a_row_of_ours_is_the_median_over_the_limit() -> None:
    row = transfer_row("x", [_transfer(10), _transfer(11), _transfer(30)], image_bytes=100, limit_s=10.0, goal=1.2)
    assert row.figures["s"] == 11
    assert row.figures["ratio"] == 1.1
    assert row.figures["reached"] == "yes"
    assert row.figures["highest s"] == 30
    assert row.figures["wire / image bytes"] == 1.1


def test_a_wrong_target_reaches_nothing_and_spoils_the_outcome() -> None:
    bad = _transfer(10, complaint="the target differs at byte 5")
    row = transfer_row("x", [bad], image_bytes=100, limit_s=10.0, goal=1.2)
    assert row.figures["reached"] == "NO"
    assert "differs" in row.note
    assert not outcome([row], material="", transfers=[bad]).ok
    assert complaints([_transfer(1)]) == ""


def test_what_a_client_said_is_read_from_its_last_event() -> None:
    run = _transfer(10).clients["c1"]
    assert run.bad_chunks == 2
    assert run.bytes_by("multicast") == 70
    assert run.bytes_by("repo") == 30
    assert round(run.began_s, 6) == 0.8


def test_an_incomplete_peer_says_so() -> None:
    run = PeerRun(seconds=0, each_s={}, sender_cpu_s=0, receivers_cpu_s=0, complete=False, wrong=())
    row = peer_row("udpcast", run, image_bytes=100, limit_s=1.0)
    assert "NOT complete" in row.note
    run = PeerRun(seconds=1, each_s={}, sender_cpu_s=0, receivers_cpu_s=0, complete=True, wrong=("c3", "c4"))
    assert "wrong content at c3, c4" in peer_row("udpcast", run, image_bytes=100, limit_s=1.0).note
    assert row.figures["Mbit/s of image"] is None
