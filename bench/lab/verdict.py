"""One row of a scenario: a figure, its limit, what is to be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.goals import at_least, at_most, reached_of
from bench.lab.classroom import Transfer
from bench.lab.peers import PeerRun
from bench.scenario import Outcome, Row
from bench.stats import summarise

__all__ = ["NOT_INSTALLED", "complaints", "counting", "outcome", "peer_row", "times_row", "transfer_row"]

NOT_INSTALLED = "not installed (apt install udpcast uftp)"
MBIT = 1e6
NOTE_CHARS = 300


def complaints(transfers: Sequence[Transfer]) -> str:
    """Why transfers do not count, for a note; empty if they do."""
    return "; ".join(filter(None, (transfer.complaints for transfer in transfers)))[:NOTE_CHARS]


def transfer_row(
    label: str,
    transfers: Sequence[Transfer],
    *,
    image_bytes: int,
    limit_s: float,
    more: Mapping[str, float | str | None] | None = None,
    goal: float | None = None,
) -> Row:
    """Our transfers of one room: the median of their seconds against the limit, and what they cost."""
    seconds = summarise([transfer.seconds for transfer in transfers])
    ratio = seconds.median / limit_s
    said = complaints(transfers)
    wire = summarise([transfer.moved["server"].from_bytes / image_bytes for transfer in transfers])
    return Row(
        label=label,
        figures={
            "s": seconds.median,
            "limit s": limit_s,
            "ratio": ratio,
            **(at_most(ratio, goal, counts=not said) if goal is not None else {}),
            "highest s": seconds.high,
            "last client began at s": summarise([transfer.last_began_s for transfer in transfers]).median,
            "wire / image bytes": wire.median,
            "Mbit/s of image": image_bytes * 8 / seconds.median / MBIT,
            "server CPU s": summarise([transfer.server_cpu_s for transfer in transfers]).median,
            "clients CPU s": summarise([transfer.clients_cpu_s for transfer in transfers]).median,
            **(more or {}),
        },
        note=said,
    )


def peer_row(
    label: str, runs: Sequence[PeerRun], *, image_bytes: int, limit_s: float, wire_bytes: int | None = None
) -> Row:
    """Another tool's transfers of the same room: the medians of those that count, of all if none does."""
    counted = counting(runs) or runs
    seconds = summarise([run.seconds for run in counted])
    return Row(
        label=label,
        figures={
            "s": seconds.median,
            "limit s": limit_s,
            "ratio": seconds.median / limit_s,
            **({"highest s": seconds.high} if len(counted) > 1 else {}),
            "wire / image bytes": None if wire_bytes is None else wire_bytes / image_bytes,
            "Mbit/s of image": image_bytes * 8 / seconds.median / MBIT if seconds.median else None,
            "server CPU s": summarise([run.sender_cpu_s for run in counted]).median,
            "clients CPU s": summarise([run.receivers_cpu_s for run in counted]).median,
        },
        note="; ".join(filter(None, [_incomplete(runs), *map(_wrong, counted)])),
    )


def counting(runs: Sequence[PeerRun]) -> list[PeerRun]:
    """Those in which every receiver got the file; who gives up has no time to compare with."""
    return [run for run in runs if run.complete]


def times_row(label: str, ours: Row, theirs: Row, *, goal: float, counts: bool) -> Row:
    """How many times as fast ours is as another tool, and how many times any program could be.

    None is faster than the link. `counts`: whether both have times to compare.
    """
    seconds, peer_s, limit_s = (
        _seconds(row, column) for row, column in ((ours, "s"), (theirs, "s"), (ours, "limit s"))
    )
    possible = peer_s / limit_s
    return Row(
        label=label,
        figures={"ratio": peer_s / seconds, **at_least(peer_s / seconds, goal, counts=counts)},
        note=f"no program could be more than {possible:.2f} times as fast on this link" if possible < goal else "",
    )


def _seconds(row: Row, column: str) -> float:
    value = row.figures[column]
    assert value is not None, f"{row.label} has no {column}"
    return float(value)


def _incomplete(runs: Sequence[PeerRun]) -> str:
    missed = len(runs) - len(counting(runs))
    if not missed:
        return ""
    return f"{missed} of {len(runs)} NOT complete: not every receiver got the file"


def _wrong(run: PeerRun) -> str:
    return f"wrong content at {', '.join(run.wrong)}, told to nobody" if run.wrong else ""


def outcome(
    rows: Sequence[Row],
    *,
    material: str,
    transfers: Sequence[Transfer],
    summary: Mapping[str, float | str] | None = None,
) -> Outcome:
    """Everything together; it counts only if every client of ours has the image."""
    ok = all(not transfer.complaints for transfer in transfers)
    reached = reached_of(row.figures for row in rows)
    return Outcome(rows=rows, material=material, ok=ok, summary={**reached, **(summary or {})})
