"""The answer of GET /v1/sessions as a table for the operator, with the reason why a client is slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HEADINGS", "session_rows", "why"]

HEADINGS = ("HOST", "IMAGE", "BY", "HAVE", "RATE", "LOSS", "OVERFLOW", "BACKLOG", "WHY")

LOSS_WORTH_SAYING = 0.01
OVERFLOW_WORTH_SAYING = 0.005
BACKLOG_WORTH_SAYING = 0.75
SILENT_WORTH_SAYING_S = 10.0
QUIET_WORTH_SAYING_S = 4.0
"""Of a client that is slow: it reports every 2 s, so that a report is lacking."""
FORGED_WORTH_SAYING = 10
SLOW_SHARE = 0.5
"""Below this share of the median rate a client is slow, whatever it says."""

CAST_LIMITED_BY = {
    "loss": "its whole cast is held back: many of its clients lose packets",
    "disk": "its whole cast is held back: the disks or processors of many of its clients do not keep up",
}
"""What of `cast_limited_by` slows a client that has no trouble of its own; the other causes are as they were set."""


def session_rows(sessions: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row a session, the slowest first."""
    rates = sorted(rate for session in sessions if (rate := _report(session).get("rate", 0.0)))
    median = rates[len(rates) // 2] if rates else 0.0
    ordered = sorted(sessions, key=lambda session: (_report(session).get("rate", 0.0), str(session.get("host"))))
    ambiguous = _ambiguous(sessions)
    return [_row(session, median, ambiguous) for session in ordered]


def why(session: Mapping[str, Any], *, median_rate: float = 0.0) -> str:
    """The likeliest brake of one client in words; empty if nothing is wrong."""
    said, report = _figures(session), _report(session)
    silent_s = session.get("silent_s", 0.0)
    if silent_s >= SILENT_WORTH_SAYING_S:
        return f"not heard of for {silent_s:.0f} s"
    if reason := said.get("reason"):
        return str(reason)
    if said.get("host_overflow", 0.0) >= OVERFLOW_WORTH_SAYING:
        return "the machine itself drops packets: too slow, or its receive buffer is small (run as root)"
    if said.get("network_loss", 0.0) >= LOSS_WORTH_SAYING:
        return "its network path loses packets: cable, switch port, or a duplex that does not match"
    if said.get("backlog", 0.0) >= BACKLOG_WORTH_SAYING or report.get("brake") == "disk":
        return "its disk is the brake"
    if (forged := said.get("forged", 0)) >= FORGED_WORTH_SAYING:
        return f"{forged} packets of somebody else came to its group: another repository uses it, or somebody forges"
    if report.get("brake") == "decode":
        return "its processor is the brake"
    if whole := CAST_LIMITED_BY.get(str(said.get("cast_limited_by"))):
        return whole
    rate = report.get("rate", 0.0)
    if rate < SLOW_SHARE * median_rate and report.get("state") != "giving":
        if silent_s >= QUIET_WORTH_SAYING_S:
            return f"not heard of for {silent_s:.0f} s"
        if rate > 0:
            return "slower than the others for no reason it knows"
    return ""


def _ambiguous(sessions: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names that computers at several addresses have: netbooted ones often share one."""
    addresses: dict[str, set[str]] = {}
    for session in sessions:
        addresses.setdefault(str(session.get("host")), set()).add(str(session.get("address")))
    return {host for host, known in addresses.items() if len(known) > 1}


def _host(session: Mapping[str, Any], ambiguous: set[str]) -> str:
    host, address = session.get("host"), session.get("address")
    if host and address and str(host) in ambiguous:
        return f"{host} ({address})"
    return str(host or address or "?")


def _row(session: Mapping[str, Any], median: float, ambiguous: set[str]) -> tuple[str, ...]:
    said, report = _figures(session), _report(session)
    want = max(0, int(session.get("want") or 0))
    by = str(report.get("transport") or session.get("method", ""))
    lane = _states(session).get(by, {}).get("lane", by)
    if lane != by:
        by = f"{by} ({lane})"
    if report.get("state") == "giving":
        by = f"{by} (gives)"
    return (
        _host(session, ambiguous),
        str(session.get("image", "")),
        by,
        f"{report.get('have', 0)} (lacked {want})",
        f"{report.get('rate', 0.0) / 1e6:.1f} MB/s",
        _share(said.get("network_loss")),
        _share(said.get("host_overflow")),
        _share(said.get("backlog")),
        why(session, median_rate=median) or str(report.get("picked") or ""),
    )


def _states(session: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What each transport says of it."""
    return {name: state or {} for name, state in (session.get("transports") or {}).items()}


def _figures(session: Mapping[str, Any]) -> Mapping[str, Any]:
    """What all transports say, the one in use before the others: why a client was refused by one explains another."""
    states, used = _states(session), _report(session).get("transport")
    found: dict[str, Any] = {}
    for name in sorted(states, key=lambda name: name == used):
        found |= {key: value for key, value in states[name].items() if value not in (None, "")}
    return found


def _report(session: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = session.get("report") or {}
    return found


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
