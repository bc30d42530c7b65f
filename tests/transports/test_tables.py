"""Tables of repod.toml: what is not understood is named, and what might have been meant."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.errors import UsageError
from transports.tables import check_number, read_table


@dataclass(frozen=True, kw_only=True)
class Things:
    port: int = 7
    share: float = 0.5


def _check(key: str, value: object, default: object) -> float:
    return check_number(f"transports.things.{key}", value, (0, 10), whole=isinstance(default, int))


def test_what_is_not_named_keeps_its_default() -> None:
    assert read_table(Things, {"share": 1}, name="things", check=_check) == Things(share=1.0)


@pytest.mark.parametrize(
    ("key", "hint"), [("prot", "did you mean port?"), ("xyzzy", "known: port, share")], ids=["close", "far"]
)
def test_a_key_there_is_none_of_is_named(key: str, hint: str) -> None:
    with pytest.raises(UsageError, match=rf"transports\.things\.{key}") as error:
        read_table(Things, {key: 1}, name="things", check=_check)
    assert error.value.hint == hint


@pytest.mark.parametrize("value", [11, -1, "3", True, None, 2.5, float("nan")], ids=str)
def test_what_is_no_number_in_bounds_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"transports\.things\.port = "):
        read_table(Things, {"port": value}, name="things", check=_check)


def test_a_number_without_a_fraction_may_be_given_for_one_with() -> None:
    found = check_number("x", 3, (0, 10), whole=False)
    assert isinstance(found, float)
    assert found == 3.0
