"""A verdict is given on what was measured, and never in favour of a transfer that does not count."""

from __future__ import annotations

from bench.lab.classroom import ClientRun, Transfer
from bench.lab.counters import path_counters
from bench.lab.peers import PeerRun
from bench.lab.race import Finish
from bench.lab.verdict import complaints, counting, outcome, peer_row, times_row, transfer_row


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


def _peer(seconds: float, *, complete: bool = True, wrong: tuple[str, ...] = ()) -> PeerRun:
    return PeerRun(seconds=seconds, each_s={}, sender_cpu_s=seconds, receivers_cpu_s=0, complete=complete, wrong=wrong)


def test_an_incomplete_peer_says_so() -> None:
    row = peer_row("udpcast", [_peer(0, complete=False)], image_bytes=100, limit_s=1.0)
    assert "1 of 1 NOT complete" in row.note
    assert row.figures["Mbit/s of image"] is None
    assert "wrong content at c3, c4" in peer_row("x", [_peer(1, wrong=("c3", "c4"))], image_bytes=9, limit_s=1.0).note


def test_a_peer_is_judged_by_the_runs_in_which_everybody_got_the_file() -> None:
    runs = [_peer(20), _peer(1, complete=False), _peer(30), _peer(22)]
    row = peer_row("udpcast", runs, image_bytes=100, limit_s=10.0)
    assert (row.figures["s"], row.figures["ratio"], row.figures["highest s"]) == (22, 2.2, 30)
    assert row.figures["server CPU s"] == 22
    assert row.note == "1 of 4 NOT complete: not every receiver got the file"
    assert counting(runs) == [runs[0], runs[2], runs[3]]
    assert peer_row("udpcast", runs[:1], image_bytes=100, limit_s=10.0).note == ""


def test_a_gain_says_when_no_program_could_reach_it() -> None:
    ours = transfer_row("ours", [_transfer(11)], image_bytes=100, limit_s=10.0)
    slow, fast = (peer_row("x", [_peer(seconds)], image_bytes=100, limit_s=10.0) for seconds in (44.0, 39.0))
    row = times_row("times", ours, slow, goal=4, counts=True)
    assert (row.figures["ratio"], row.figures["reached"], row.note) == (4.0, "yes", "")
    assert times_row("times", ours, slow, goal=4, counts=False).figures["reached"] == "NO"
    row = times_row("times", ours, fast, goal=4, counts=True)
    assert row.figures["reached"] == "NO"
    assert row.note == "no program could be more than 3.90 times as fast on this link"
