"""Tokens: only digests are kept, changes count at once, roles and expiry decide."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.errors import NotFoundError, RepositoryError, UsageError
from repod.layout import Layout
from repod.tokens import TOKENS_MAX, Role, TokenFile, issue


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    file = TokenFile(tmp_path / "tokens.json")
    file.write([])
    return file


def test_the_secret_is_nowhere_in_the_file(tokens: TokenFile, tmp_path: Path) -> None:
    secret, kept = issue(Role.CLIENT, now=10.0, label="room 12")
    tokens.add(kept)
    text = (tmp_path / "tokens.json").read_text()
    assert secret not in text
    assert secret.removeprefix("ogt_") not in text
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600


def test_a_token_is_found_by_its_secret_only(tokens: TokenFile) -> None:
    secret, kept = issue(Role.OPERATOR, now=10.0)
    tokens.add(kept)
    assert tokens.find(secret) == kept
    assert tokens.find(secret + "x") is None
    assert tokens.find("") is None
    assert tokens.find("\udcff") is None
    assert tokens.find(kept.digest) is None


def test_another_process_changing_the_file_is_seen(tokens: TokenFile, tmp_path: Path) -> None:
    other = TokenFile(tmp_path / "tokens.json")
    secret, kept = issue(Role.CLIENT, now=0.0)
    assert tokens.find(secret) is None
    other.add(kept)
    assert tokens.find(secret) == kept
    other.revoke(kept.id)
    assert tokens.find(secret) is None


def test_expiry_is_the_first_moment_it_is_not_good() -> None:
    _, kept = issue(Role.CLIENT, now=100.0, lifetime_s=10.0)
    assert kept.valid(109.9)
    assert not kept.valid(110.0)
    assert issue(Role.CLIENT, now=0.0)[1].valid(1e12)


def test_operators_may_do_what_clients_may() -> None:
    assert Role.OPERATOR.allows(Role.CLIENT)
    assert not Role.CLIENT.allows(Role.OPERATOR)


def test_adding_at_once_loses_nothing(tokens: TokenFile, tmp_path: Path) -> None:
    def add() -> None:
        for _ in range(5):
            TokenFile(tmp_path / "tokens.json").add(issue(Role.CLIENT, now=0.0)[1])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens.all()) == 20


def test_their_number_is_bounded(tokens: TokenFile) -> None:
    tokens.write([issue(Role.CLIENT, now=0.0)[1] for _ in range(TOKENS_MAX)])
    with pytest.raises(UsageError):
        tokens.add(issue(Role.CLIENT, now=0.0)[1])


def test_damage_and_strangers_are_told(tokens: TokenFile, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        tokens.revoke("00000000")
    with pytest.raises(UsageError):
        issue(Role.CLIENT, now=0.0, label="a\nb")
    for text in ("", "{", "[]", '{"tokens":[{"id":1}]}'):
        (tmp_path / "tokens.json").write_text(text)
        with pytest.raises(RepositoryError):
            tokens.all()
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(RepositoryError):
        tokens.all()


def test_init_makes_one_token_a_role(layout: Layout) -> None:
    assert sorted(kept.role for kept in TokenFile(layout.tokens).all()) == [Role.CLIENT, Role.OPERATOR]
