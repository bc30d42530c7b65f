"""Who may ask: a bearer token, its expiry and its role."""

from __future__ import annotations

import ipaddress
import time
from http import HTTPStatus

from aiohttp import web

from core.errors import AuthenticationError
from core.logs import get_logger
from repod.api.errors import Refusal
from repod.api.routes import STRANGERS, TOKEN, daemon_of
from repod.tokens import Role, Token

__all__ = ["TOKEN_MAX_CHARS", "authorise", "from_this_machine"]

TOKEN_MAX_CHARS = 256


def authorise(request: web.Request, needed: Role) -> Token:
    """The valid token of a request. AuthenticationError (401), or a Refusal with 403 if its role is too small."""
    token = _token(request)
    if not token.role.allows(needed):
        _note(request, "role", token)
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            AuthenticationError(
                f"this needs a token of role {needed}, and this one has role {token.role}",
                hint=f"an operator makes one: repod token DIR --role {needed}",
            ),
        )
    TOKEN.set(token)
    request.app[STRANGERS].handle_known(request.protocol)
    return token


def from_this_machine(request: web.Request) -> bool:
    """Whether a request comes from this machine: over loopback, or from the address it was sent to."""
    own = None if request.transport is None else request.transport.get_extra_info("sockname")
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback or bool(own and own[0] == request.remote)
    except ValueError:
        return False


def _token(request: web.Request) -> Token:
    header = request.headers.get("Authorization", "")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(secret) <= TOKEN_MAX_CHARS:
        _note(request, "none", None)
        raise AuthenticationError("a token is needed", hint="use the client.toml that 'repod init' made")
    token = daemon_of(request).tokens.find(secret.strip())
    if token is None:
        _note(request, "wrong", None)
        raise AuthenticationError("the token is not known here", hint="is client.toml that of this repository?")
    if not token.valid(time.time()):
        _note(request, "expired", token)
        raise AuthenticationError("the token has expired", hint="an operator makes a new one: repod token DIR")
    return token


def _note(request: web.Request, why: str, token: Token | None) -> None:
    """Count a refusal, and log it unless there are many."""
    silent = daemon_of(request).failures.handle_failure(now=time.monotonic())
    if silent is not None:
        get_logger("repod.auth").warning(
            "login refused",
            reason=why,
            address=request.remote,
            path=request.path[:128],
            token=token.id if token else None,
            silent_before=silent,
        )
