"""What a command tells: events, in one of three forms: JSON objects, a progress bar, or plain lines.

Events are names with fields; docs/client.md lists them. A reporter is used on the event loop's thread only.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

import msgspec

from core.errors import OgcastError
from core.units import human_bytes

__all__ = ["JsonReporter", "PlainReporter", "Reporter", "human_seconds", "summary"]

PLAIN_EVERY_S = 5.0
"""Seconds between two progress lines where there is no terminal."""

SUMMARY = "summary"
"""Field of `done` with the final line for a person, where it is not made of the figures; JSON goes without it."""

_STAGE_WORDS = {
    "start": "[1]",
    "update-cache": "[2]",
    "cache-ok": "[50]",
    "restore": "[55]",
}
"""Stages that OpenGnsys' deployImage marks in its log, with its numbers."""


class Reporter(Protocol):
    """Where events go."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Tell one event. Never raises for an output that went away."""

    def close(self) -> None:
        """End the output; harmless when repeated."""


class JsonReporter:
    """One JSON object per event on `out`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write the event and flush, so that a reader sees it at once."""
        told = {key: value for key, value in fields.items() if key != SUMMARY}
        try:
            line = msgspec.json.encode({"event": name, **told}).decode()
        except UnicodeEncodeError:  # a file name that is no UTF-8
            line = msgspec.json.encode({"event": name, **_printable(told)}).decode()
        with contextlib.suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()

    def close(self) -> None:
        """Nothing to end."""


class PlainReporter:
    """Lines for a log file: stages with OpenGnsys' markers, a progress line every few seconds, the result last."""

    def __init__(self, *, log: TextIO | None = None, out: TextIO | None = None) -> None:
        self._log = log or sys.stderr
        self._out = out or sys.stdout
        self._next_s = 0.0

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write what a person wants to read of the event."""
        fields = _printable(fields)
        with contextlib.suppress(OSError, ValueError):
            if name == "done":
                print(summary(fields), file=self._out, flush=True)  # the result of the command
                return
            line = self._progress(fields) if name == "progress" else sentence(name, fields)
            if line:
                self._log.write(line + "\n")
                self._log.flush()

    def close(self) -> None:
        """Nothing to end."""

    def _progress(self, fields: Mapping[str, Any]) -> str | None:
        if fields["seconds"] < self._next_s:
            return None
        self._next_s = fields["seconds"] + PLAIN_EVERY_S
        left = fields["left_s"]
        return (
            f"{fields['state']}: {human_bytes(fields['done_bytes'])} of {human_bytes(fields['total_bytes'])}, "
            f"{human_bytes(fields['rate_bytes_per_s'])}/s, "
            f"{human_seconds(left) + ' left' if left is not None else 'no estimate yet'}"
            f"{', brake: ' + fields['brake'] if fields['brake'] else ''}"
        )


def _printable(value: Any) -> Any:
    """`value` with what no UTF-8 text can hold (bytes of a file name that are none) written as \\udcXX."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {key: _printable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_printable(inner) for inner in value]
        case _:
            return value


def sentence(name: str, fields: Mapping[str, Any]) -> str | None:
    """One event as a line for a person; None for those that only programs want. The error is printed elsewhere."""
    match name:
        case "stage":
            marker = _STAGE_WORDS.get(fields["stage"], "[ ]")
            return f"{marker} {fields['message']}"
        case "relay":
            return f"{fields['message']}; clients here use {fields['client_settings']}"
        case "waiting":
            return f"notice: {fields['message']}"
        case "notice" | "warning":
            return f"{name}: {fields['message']}"
        case "retry":
            return f"warning: {fields['message']}; trying again in {fields['delay_s']} s"
        case "bad-chunk":
            return (
                f"warning: chunk {fields['chunk']} from {fields['source']} is wrong "
                f"({fields['message']}); asking for it again"
            )
        case "transport-given-up":
            return f"warning: transport {fields['transport']} given up: {fields['message']}"
        case "transport-resting":
            return f"warning: transport {fields['transport']} rests: {fields['message']}"
        case "picked":
            return f"notice: {fields['message']}"
        case "seeding" if "already" in fields:  # a process stays behind
            return f"notice: {fields['message']}"
        case "transport":
            if not fields["before"] and not fields["message"]:
                return None
            why = f" ({fields['message']})" if fields["message"] else ""
            return f"notice: {fields['chunks_lacking']} chunks are taken by {fields['transport']} now{why}"
        case "damaged-chunk":
            place = "" if fields["pack"] is None else f" in pack {fields['pack']} at {fields['offset']}"
            return f"damaged: chunk {fields['digest'][:16]}…{place}: {fields['message']}"
        case "damaged-image":
            return f"damaged: {fields['image']}: {fields['message']}"
        case "waiting-for-turn" if fields["position"]:
            return f"the repository serves others first: place {fields['position']} in the queue"
        case "interrupted":
            return str(fields["message"])
        case _:
            return None


def summary(fields: Mapping[str, Any]) -> str:
    """The final line: what, bytes by source, seconds, rate."""
    if SUMMARY in fields:
        return str(fields[SUMMARY])
    sources = ", ".join(f"{human_bytes(count)} from {source}" for source, count in fields["bytes_by_source"].items())
    kept = fields.get("bytes_resumed", 0)
    if kept:
        sources += f"{', ' if sources else ''}{human_bytes(kept)} was there already"
    rate = f", {human_bytes(fields['rate_bytes_per_s'])}/s" if fields["rate_bytes_per_s"] else ""
    target = f" to {fields['target']}" if fields.get("target") else ""
    colon = "" if target == " to null:" else ":"
    return (
        f"[100] {fields['command']} {fields['image']}{target}{colon} "
        f"{sources or 'nothing to fetch'}; {fields['seconds']:.1f} s{rate}"
        f"{', brake: ' + fields['brake'] if fields.get('brake') else ''}"
    )


def error_fields(error: OgcastError) -> dict[str, Any]:
    """Fields of the event `error`."""
    return {"code": error.exit_code, "error": type(error).__name__, "message": str(error), "hint": error.hint}


def human_seconds(seconds: float) -> str:
    """`1:02:03`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
