"""Settings: precedence, origins, and errors that name file and key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import CONFIG_MAX_BYTES, load, parse_toml, render, render_template, setting, toml_value
from core.errors import NotFoundError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    sessions: Annotated[int, msgspec.Meta(ge=1)] = setting(default=10, doc="Sessions at once.")
    grace_s: float = setting(default=5.0, doc="Seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    url: str = setting(doc="Where the repository is.")
    token: str | None = setting(default=None, doc="The token.", secret=True)
    cache: Path | None = setting(default=None, doc="Folder of the CACHE.")
    quiet: bool = setting(default=False, doc="Say less.")
    hosts: list[str] = setting(default=[], doc="Names.")
    limits: Limits = field(default_factory=Limits)
    transports: Mapping[str, Mapping[str, Any]] = setting(default={}, doc="Free tables.")

    def __post_init__(self) -> None:
        if self.quiet and self.limits.sessions == 99:
            raise ValueError("quiet contradicts limits.sessions = 99")


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_later_sources_win_and_each_value_knows_its_origin(tmp_path: Path) -> None:
    path = written(tmp_path, 'url = "file"\ncache = "/a"\n[limits]\nsessions = 2\ngrace_s = 1\n')
    environ = {"T_LIMITS_SESSIONS": "3", "T_CACHE": "/b", "T_UNRELATED": "x"}
    loaded = load(Settings, file=path, environ=environ, env_prefix="T_", flags={"cache": "/c", "url": None})
    assert (loaded.value.url, loaded.value.cache) == ("file", Path("/c"))
    assert loaded.value.limits == Limits(sessions=3, grace_s=1.0)
    assert loaded.origins["url"] == str(path)
    assert loaded.origins["cache"] == "flag"
    assert loaded.origins["limits.sessions"] == "environment (T_LIMITS_SESSIONS)"
    assert loaded.origins["quiet"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('url = "x"\nurk = 1', ["urk", "unknown"]),
        ('url = "x"\n[limits]\nsession = 1', ["limits.session", "unknown"]),
        ("url = 5", ["url", "str"]),
        ('url = "x"\nlimits = 5', ["'limits' is a table"]),
        ('url = "x"\n"\\u001b[2J" = 5', [r"unknown key '\x1b[2J'"]),
        ('url = "x"\n[limits]\nsessions = 0', ["limits.sessions", ">= 1"]),
        ('url = "x"\n[limits]\nsessions = true', ["limits.sessions", "int"]),
        ('url = "x"\ncache = "a\\u0000b"', ["cache", "path"]),
        ('url = "x"\nquiet = true\n[limits]\nsessions = 99', ["contradicts"]),
        ("cache = '/x'", ["'url' is missing"]),
        ("url = ", ["TOML"]),
    ],
)
def test_a_bad_file_is_refused_naming_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(Settings, file=path)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert parse_toml(written(tmp_path, '\ufeffurl = "x"')) == {"url": "x"}


def test_an_unknown_key_hints_at_the_closest_known_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(Settings, file=written(tmp_path, 'url = "x"\n[limits]\nsesions = 1'))
    assert caught.value.hint == "did you mean 'limits.sessions'?"


def test_an_unknown_key_that_resembles_none_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(Settings, file=written(tmp_path, 'url = "x"\n[limits]\nfoo = 1'))
    assert "did you mean" not in str(caught.value.hint)
    assert "limits.sessions" in str(caught.value.hint)


def test_a_contradiction_is_blamed_on_where_its_key_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, 'url = "x"\nquiet = true')
    with pytest.raises(UsageError, match=r"^command line: .*contradicts"):
        load(Settings, file=path, flags={"limits.sessions": 99})


def test_a_bad_environment_value_names_the_variable() -> None:
    with pytest.raises(UsageError, match="T_LIMITS_SESSIONS"):
        load(Settings, environ={"T_LIMITS_SESSIONS": "many", "T_URL": "x"}, env_prefix="T_")


def test_missing_unreadable_and_huge_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load(Settings, file=tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot read"):
        load(Settings, file=tmp_path)
    with pytest.raises(UsageError, match="larger"):
        load(Settings, file=written(tmp_path, "#" * (CONFIG_MAX_BYTES + 1)))


def test_free_tables_pass_through(tmp_path: Path) -> None:
    path = written(tmp_path, 'url = "x"\n[transports.unicast]\nport = 5\n')
    assert load(Settings, file=path).value.transports == {"unicast": {"port": 5}}


def test_render_shows_origins_and_hides_secrets() -> None:
    text = render(load(Settings, flags={"url": "here", "token": "s3cret"}))
    assert 'url = "here"  # flag' in text
    assert "s3cret" not in text
    assert "sessions = 10  # default" in text


def test_the_template_documents_every_key_and_loads(tmp_path: Path) -> None:
    text = render_template(Settings, heading="Settings.", given={"url": "https://h"})
    for name in ("url", "token", "cache", "quiet", "hosts", "sessions", "grace_s"):
        assert f"{name} = " in text
    assert load(Settings, file=written(tmp_path, text)).value == Settings(url="https://h")


@given(st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.lists(st.text())))
def test_every_value_survives_toml(value: Any) -> None:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return
    assert tomllib.loads(f"key = {toml_value(value)}\n")["key"] == value
