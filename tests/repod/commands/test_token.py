"""repod token."""

from __future__ import annotations

import pytest

from repod.tokens import Role, TokenFile


def test_a_token_is_shown_once_listed_without_secret_and_revoked(repod, layout) -> None:
    made = repod("token", layout.root, "--role", "client", "--expires", "30d", "--label", "room 12", "--json").json
    kept = TokenFile(layout.tokens).find(made["token"])
    assert kept is not None
    assert (kept.role, kept.label, kept.id) == (Role.CLIENT, "room 12", made["id"])
    assert kept.expires == pytest.approx(kept.created + 30 * 86400)
    listed = repod("token", layout.root, "--list").out
    assert "room 12" in listed
    assert made["token"] not in listed
    assert repod("token", layout.root, "--revoke", made["id"]).code == 0
    assert len(repod("token", layout.root, "--list", "--json").json) == 2


def test_the_text_form_is_the_token_alone(repod, layout) -> None:
    secret = repod("token", layout.root, "--role", "operator").out.strip()
    kept = TokenFile(layout.tokens).find(secret)
    assert kept is not None
    assert (kept.role, kept.expires) == (Role.OPERATOR, None)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--role", "king"],
        ["--role", "client", "--list"],
        ["--role", "client", "--expires", "soon"],
        ["--role", "client", "--expires", "-1d"],
        ["--role", "client", "--expires", "0d"],
        ["--role", "client", "--label", "x" * 100],
    ],
)
def test_wrong_usage_changes_nothing(repod, layout, args) -> None:
    before = layout.tokens.read_bytes()
    assert repod("token", layout.root, *args).code == 1
    assert layout.tokens.read_bytes() == before


def test_an_unknown_id_is_not_found(repod, layout) -> None:
    assert repod("token", layout.root, "--revoke", "nosuch").code == 2
