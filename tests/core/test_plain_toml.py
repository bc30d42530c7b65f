"""Plain TOML is read as the parser reads it, and everything else is left to it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import toml_value
from core.plain_toml import read_plain

PLAIN = """# of repod init

url = "https://h:1"  # where
certificate = \"\"\"
-----BEGIN CERTIFICATE-----
AB+/=
-----END CERTIFICATE-----
\"\"\"
\ttoken="a # b \\" c"
seed = true# yes
count=0
"""
PIECES = [
    "a",
    "b-1",
    " ",
    "\t",
    "\n",
    "=",
    '"',
    '"""',
    "'",
    "#",
    "[",
    "]",
    "{",
    ".",
    "0",
    "7",
    "true",
    "\\",
    "\\n",
    "\\u00e9",
]
PIECES += ["\\/", "\r", "\x00", "\u00e9", "_1", "-", "+", ","]


def test_what_repod_writes_is_plain() -> None:
    assert read_plain(PLAIN) == tomllib.loads(PLAIN)
    assert read_plain("") == {}


@pytest.mark.parametrize(
    "text",
    ["[t]", "a.b = 1", "a = 'x'", "a = [1]", "a = 1.5", "a = 01", "a", "a = ", 'a = "x', 'a = """x', "a=1\na=2"],
)
def test_what_is_not_plain_is_left_to_the_parser(text: str) -> None:
    assert read_plain(text) is None


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.text() | st.booleans()))
def test_written_settings_are_read_as_the_parser_reads_them_or_not_at_all(values: dict[str, str | bool]) -> None:
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())
    read = read_plain(text)
    assert read is None or read == values


@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_nothing_is_read_otherwise_than_by_the_parser(text: str) -> None:
    read = read_plain(text)
    if read is not None:
        assert read == tomllib.loads(text)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_no_value_is_read_otherwise_than_by_the_parser(value: str) -> None:
    text = f"a = {value}\nb = 1\n"
    read = read_plain(text)
    if read is not None:
        assert read == tomllib.loads(text)
