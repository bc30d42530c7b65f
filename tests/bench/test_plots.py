"""A result that has a picture gets one, always the same for the same figures."""

from __future__ import annotations

from pathlib import Path

from bench.plots import PLOTS, make_plots
from bench.results import Result, ResultRow
from bench.scenario import scenarios


def _result(name: str, rows: list[ResultRow]) -> Result:
    return Result(
        scenario=name,
        question="How?",
        goal="",
        command="",
        runs=1,
        size=1,
        material="",
        ok=True,
        machine={"cores": "2"},
        summary={},
        rows=rows,
    )


RESULTS = [
    _result("multicast-scale", [ResultRow(label="x", figures={"clients": 1.0, "s": 2.0, "limit s": 1.0})]),
    _result("multicast-wire", [ResultRow(label="x", figures={"loss %": 1.0, "theory, k = 188": 1.02})]),
    _result(
        "multicast-room",
        [
            ResultRow(label="loss 0%: ogcast", figures={"ratio": 1.07}),
            ResultRow(label="loss 0%: udpcast", figures={"ratio": 1.4}),
            ResultRow(label="loss 1%: ogcast", figures={"ratio": 1.1}),
        ],
    ),
    _result("p2p-room", [ResultRow(label="8 clients: ogcast", figures={"ratio": 1.1})]),
    _result(
        "p2p-simnet",
        [
            ResultRow(label="10 peers in 10 subnets", figures={"peers": 10.0, "ratio": 1.1}),
            ResultRow(label="EZIO, published: x", figures={"peers": 32.0, "ratio": 2.7}),
        ],
    ),
    _result("other", []),
]


def test_every_picture_belongs_to_a_scenario() -> None:
    assert set(PLOTS) <= set(scenarios())


def test_the_same_result_gives_the_same_picture(tmp_path: Path) -> None:
    made = make_plots(RESULTS, tmp_path / "a")
    assert set(made) == {"multicast-scale", "multicast-wire", "multicast-room", "p2p-room", "p2p-simnet"}
    again = make_plots(RESULTS, tmp_path / "b")
    for name, path in made.items():
        assert path.read_bytes().startswith(b"<?xml")
        assert path.read_bytes() == again[name].read_bytes()


def test_a_result_without_picture_has_none(tmp_path: Path) -> None:
    assert make_plots(RESULTS[-1:], tmp_path) == {}
