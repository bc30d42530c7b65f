"""OpenGnsys' option strings of multicast, as its consoles write them.

    port:mode:ip:speed:clients:maxwait            9000:full-duplex:239.194.17.36:70M:50:60
                                                  9000:full-duplex:[ff15::4f47:17]:70M:50:60
    port[:serverIP[:startTimeout[:receiveTimeout]]]    9000:10.1.1.5:60:120

What the fields mean here: group and port are a wish (a cast of another image may have them), the speed caps the cast,
clients and maxwait say when it begins, and the mode means nothing, because nobody waits for anybody. Nor does the
server's address, for the client is configured with that of its repository.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from core.errors import UsageError
from transports.multicast.proto.groups import Endpoint, check_group
from transports.multicast.proto.start import StartPolicy

__all__ = ["MBIT_BYTES", "CastOptions", "parse_options"]

MODES = ("full-duplex", "half-duplex", "broadcast", "full", "half")
CLIENTS_MAX = 4096
WAIT_MAX_S = 86_400
SPEED_MAX_MBIT = 100_000
MBIT_BYTES = 125_000

_SERVER_FORM = "port:mode:ip:speed:clients:maxwait, such as 9000:full-duplex:239.194.17.36:70M:50:60"
_CLIENT_FORM = "port[:serverIP[:startTimeout[:receiveTimeout]]], such as 9000:10.1.1.5:60:120"


@dataclass(frozen=True, slots=True, kw_only=True)
class CastOptions:
    """What an option string asks for; None where it says nothing."""

    port: int | None = None
    group: str | None = None
    rate_bytes_per_s: int | None = None
    start: StartPolicy | None = None
    start_timeout_s: float | None = None
    """A client gives multicast up if nothing came for this long at the start."""
    receive_timeout_s: float | None = None
    """And if nothing came for this long afterwards."""

    @property
    def of_cast(self) -> tuple[Endpoint | None, int | None, StartPolicy | None]:
        """What is wished of the cast itself, not for one client: group and port, rate, start."""
        return self.endpoint, self.rate_bytes_per_s, self.start

    @property
    def endpoint(self) -> Endpoint | None:
        """Group and port, if the string names both."""
        if self.group is None or self.port is None:
            return None
        return Endpoint(self.group, self.port)


def parse_options(text: str) -> CastOptions:
    """Either form; empty asks for nothing. UsageError that names the field."""
    if not text.strip():
        return CastOptions()
    fields = _split(text.strip())
    if len(fields) > 1 and fields[1].lower() in MODES:
        return _server_form(fields)
    if len(fields) > 4:
        if len(fields) == 6 or not re.fullmatch(r"[0-9.]*", fields[1]):
            raise UsageError(f"mode {fields[1][:32]!a} of multicast", hint=f"modes: {', '.join(MODES[:2])}")
        raise UsageError(f"{len(fields)} fields in the option string of multicast", hint=f"expected: {_CLIENT_FORM}")
    return _client_form(fields)


def _split(text: str) -> list[str]:
    """The fields; an IPv6 group is written in brackets, which are not part of it."""
    before, bracket, rest = text.partition("[")
    if not bracket:
        return text.split(":")
    group, bracket, after = rest.partition("]")
    if not bracket or not before.endswith(":") or not after.startswith(":"):
        raise UsageError(
            "brackets in the option string of multicast", hint="a group of IPv6 is written [ff15::4f47:17]"
        )
    return [*before[:-1].split(":"), group, *after[1:].split(":")]


def _server_form(fields: list[str]) -> CastOptions:
    if len(fields) != 6:
        raise UsageError(f"{len(fields)} fields in the option string of multicast", hint=f"expected: {_SERVER_FORM}")
    port, mode, group, speed, clients, wait = fields
    if mode.lower() == "broadcast":
        raise UsageError("mode broadcast of multicast", hint="take full-duplex: a broadcast reaches every machine")
    match = re.fullmatch(r"([0-9]{1,6})[Mm]", speed)
    if match is None or not 0 < int(match[1]) <= SPEED_MAX_MBIT:
        hint = f"Mbit/s with an M, such as 70M; {SPEED_MAX_MBIT}M at most"
        raise UsageError(f"speed {speed[:32]!a} of multicast", hint=hint)
    return CastOptions(
        port=_port(port),
        group=str(check_group(group)),
        rate_bytes_per_s=int(match[1]) * MBIT_BYTES,
        start=StartPolicy(
            clients=int(_number(clients, "clients", CLIENTS_MAX, least=1)), wait_s=_number(wait, "maxwait", WAIT_MAX_S)
        ),
    )


def _client_form(fields: list[str]) -> CastOptions:
    port, server, start, receive = (*fields, *[""] * (4 - len(fields)))
    if server:
        try:
            ipaddress.IPv4Address(server)
        except ValueError:
            raise UsageError(
                f"{server[:64]!a} in the option string of multicast is neither a mode nor an address",
                hint=f"expected: {_SERVER_FORM}; or: {_CLIENT_FORM}",
            ) from None
    return CastOptions(
        port=_port(port),
        start_timeout_s=(_number(start, "startTimeout", WAIT_MAX_S) or None) if start else None,
        receive_timeout_s=(_number(receive, "receiveTimeout", WAIT_MAX_S) or None) if receive else None,
    )


def _port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and 1024 <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"port {text[:32]!a} of multicast", hint="a number from 1024 to 65535; OpenGnsys has 9000 to 9098")


def _number(text: str, name: str, most: int, *, least: int = 0) -> float:
    if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most:
        return float(text)
    raise UsageError(f"{name} {text[:32]!a} of multicast", hint=f"a number from {least} to {most}")
