"""Questions to a running repod, asked with DIR/operator.toml: its address, its certificate, an operator's token."""

from __future__ import annotations

import datetime
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.config import parse_toml
from core.errors import AuthenticationError, ConnectionFailedError, ProtocolError, UsageError
from core.pinning import pin_error, pinned_context
from transports.control import API_PREFIX

__all__ = ["ask"]

TIMEOUT_S = 10.0
ANSWER_MAX_BYTES = 16 << 20


def ask(settings: Path, path: str, *, url: str | None = None) -> Any:
    """The JSON answer to GET `path` (below the API's prefix); `url` if it runs elsewhere than the file says.

    Raises UsageError, ConnectionFailedError, AuthenticationError, ProtocolError.
    """
    table = parse_toml(settings)
    try:
        base, certificate, token = url or table["url"], table["certificate"], table["token"]
    except KeyError as error:
        raise UsageError(f"{settings}: key {error} is missing", hint="`repod init` writes this file") from None
    host, port = _host_and_port(str(base))
    context = pinned_context(str(certificate))
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", f"{API_PREFIX}{path}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read(ANSWER_MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        if (refused := pin_error(error, str(base), now=datetime.datetime.now(datetime.UTC))) is not None:
            raise refused from error
        raise ConnectionFailedError(
            f"no answer from repod at {base}: {error}", hint="is `repod serve` running? --url says where"
        ) from error
    finally:
        connection.close()
    if answer.status in (401, 403):
        raise AuthenticationError(f"repod at {base} refuses the token of {settings}", hint="make one: repod token")
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    if answer.status != 200 or decoded is None:
        raise ProtocolError(f"repod at {base} answered with status {answer.status}")
    return decoded


def _host_and_port(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return parts.hostname, parts.port
    except ValueError:  # brackets that do not match, a port that is no number
        pass
    raise UsageError(f"url {url!a} is not of the form https://HOST:PORT")
