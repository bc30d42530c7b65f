"""repod token: who may use the repository."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from core.errors import UsageError
from repod.commands.common import DirArgument, JsonOption, emit_json
from repod.tokens import Role

__all__ = ["token"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def token(
    root: DirArgument,
    role: Annotated[Role | None, typer.Option(help="Make a token: client (take, capture) or operator (all).")] = None,
    expires: Annotated[str | None, typer.Option(help="How long it is good: 12h, 30d, 8w. Default: for ever.")] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    list_all: Annotated[bool, typer.Option("--list", help="List the tokens (never the secrets).")] = False,
    revoke: Annotated[str | None, typer.Option(metavar="ID", help="Revoke a token; works at once.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make, list or revoke tokens. A new token is shown once; only its digest is kept.

    \b
    Examples:
      repod token /srv/images --role client --expires 30d --label "room 12"
      repod token /srv/images --list
      repod token /srv/images --revoke 1f2e3d4c
    """
    import time

    from repod.layout import Layout
    from repod.tokens import TokenFile, issue

    if (role is not None) + list_all + (revoke is not None) != 1:
        raise UsageError("say one of --role, --list and --revoke", hint="'repod token --help' shows examples")
    layout = Layout(root)
    layout.check()
    tokens = TokenFile(layout.tokens)
    now = time.time()
    if role is not None:
        lifetime_s = None if expires is None else _duration_s(expires)
        secret, kept = issue(role, now=now, label=label, lifetime_s=lifetime_s)
        tokens.add(kept)
        if as_json:
            emit_json({"token": secret, "id": kept.id, "role": role, "expires": kept.expires})
        else:
            typer.echo(secret)
    elif revoke is not None:
        gone = tokens.revoke(revoke)
        typer.echo(f"revoked {gone.id} ({gone.role}{', ' + gone.label if gone.label else ''})")
    elif as_json:
        emit_json(
            [
                {
                    "id": kept.id,
                    "role": kept.role,
                    "label": kept.label,
                    "created": kept.created,
                    "expires": kept.expires,
                }
                for kept in tokens.all()
            ]
        )
    else:
        for kept in tokens.all():
            typer.echo(f"{kept.id}  {kept.role:<8}  {_expiry(kept.expires, now):<20}  {kept.label}".rstrip())


def _duration_s(text: str) -> float:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", text)
    if match is None:
        raise UsageError(f"not a duration: {text!a}", hint="write 90m, 12h, 30d or 8w")
    return int(match[1]) * _UNITS[match[2]]


def _expiry(expires: float | None, now: float) -> str:
    import datetime

    if expires is None:
        return "never expires"
    when = datetime.datetime.fromtimestamp(expires, datetime.UTC).strftime("%Y-%m-%d")
    return f"{'expired' if expires <= now else 'until'} {when}"
