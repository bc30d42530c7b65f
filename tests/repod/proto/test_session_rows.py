from __future__ import annotations

from typing import Any

import pytest

from repod.proto.session_rows import HEADINGS, session_rows, why


def _session(host: str = "pc1", *, rate: float = 50e6, silent_s: float = 1.0, **cast: Any) -> dict[str, Any]:
    return {
        "host": host,
        "image": "classroom@3",
        "method": "MULTICAST-DIRECT",
        "want": 100,
        "silent_s": silent_s,
        "report": {"have": 10, "rate": rate, "brake": "network", "transport": "multicast"},
        "transports": {"multicast": {"lane": "multicast", **cast}},
    }


def test_the_slowest_client_comes_first() -> None:
    rows = session_rows([_session("pc1"), _session("pc17", rate=1e6), {"address": "10.1.1.9"}])
    assert [row[0] for row in rows] == ["10.1.1.9", "pc17", "pc1"]
    assert all(len(row) == len(HEADINGS) for row in rows)
    assert "slower" in rows[1][-1]
    assert rows[2][-1] == ""


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"network_loss": 0.03}, "cable"),
        ({"host_overflow": 0.02}, "receive buffer"),
        ({"backlog": 0.9}, "disk"),
        ({"forged": 90}, "90 packets of somebody else"),
        ({"forged": 1}, ""),
        ({"cast_limited_by": "loss"}, "many of its clients lose packets"),
        ({"cast_limited_by": "disk", "network_loss": 0.03}, "cable"),
        ({"cast_limited_by": "cap"}, ""),
        ({"reason": "loses 30% of the packets", "network_loss": 0.3}, "loses 30%"),
        ({}, ""),
    ],
    ids=str,
)
def test_the_reason_is_in_words(figures: dict[str, Any], text: str) -> None:
    assert text in why(_session(**figures))


def test_a_client_nobody_hears_of_is_said_to_be_silent() -> None:
    assert "20 s" in why(_session(silent_s=20.0))


def test_a_slow_client_whose_last_report_is_lacking_is_said_to_be_silent() -> None:
    assert why(_session(rate=1e6, silent_s=5.0), median_rate=50e6) == "not heard of for 5 s"
    assert "slower" in why(_session(rate=1e6, silent_s=2.5), median_rate=50e6)
    assert why({"silent_s": 5.0}, median_rate=50e6) == "not heard of for 5 s"  # opened, and then nothing
    assert why({"silent_s": 0.5}, median_rate=50e6) == ""
    assert why(_session(silent_s=5.0), median_rate=50e6) == ""


def test_computers_that_share_a_name_are_told_apart_by_their_addresses() -> None:
    three = [_session(), _session(), _session("pc17")]
    for number, session in enumerate(three):
        session["address"] = f"10.1.1.{number}"
    assert sorted(row[0] for row in session_rows(three)) == ["pc1 (10.1.1.0)", "pc1 (10.1.1.1)", "pc17"]


def test_two_sessions_of_one_computer_need_no_address() -> None:
    two = [_session(), _session()]
    for session in two:
        session["address"] = "10.1.1.7"
    assert [row[0] for row in session_rows(two)] == ["pc1", "pc1"]


def test_a_member_served_in_another_way_is_shown_so() -> None:
    assert session_rows([_session(lane="late")])[0][2] == "multicast (late)"


def test_what_any_transport_says_counts_and_that_in_use_most() -> None:
    session = _session(lane="unicast", reason="loses 30% of the packets", backlog=0.9)
    session["report"]["transport"] = "tapes"
    session["transports"]["tapes"] = {"lane": "slow", "reason": "", "backlog": 0.2, "network_loss": None}
    row = dict(zip(HEADINGS, session_rows([session])[0], strict=True))
    assert row["BY"] == "tapes (slow)"
    assert row["BACKLOG"] == "20.0%"
    assert row["LOSS"] == "-"
    assert row["WHY"] == "loses 30% of the packets"


def test_who_only_gives_is_shown_so() -> None:
    giver = _session()
    giver["report"] = {"state": "giving", "have": 100, "transport": "p2p"}
    assert session_rows([giver])[0][2] == "p2p (gives)"
    assert why(giver, median_rate=50e6) == ""
