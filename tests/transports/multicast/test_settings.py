from __future__ import annotations

from typing import Any

import pytest

from core.errors import UsageError
from transports.multicast.settings import MulticastSettings


def test_the_empty_table_is_source_specific_in_its_own_subnet() -> None:
    settings = MulticastSettings.load({})
    assert settings.ssm
    assert settings.ttl == 1
    assert settings.start.at_once
    assert settings.group_range.startswith("232.")


@pytest.mark.parametrize(
    "table",
    [
        {"group": "232.1.0.0/16"},
        {"groups": "10.0.0.0/8"},
        {"groups": "232.1.0.0/16", "mode": "asm"},
        {"groups": "ff35::8000:0/112"},
        {"mode": "any"},
        {"ip": 5},
        {"ttl": 0},
        {"ttl": "1"},
        {"adaptive": 1},
        {"ports": "1-2"},
        {"start_at": "25:00"},
        {"rate_mbit_per_s": -1},
        {"authenticator": "none"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_its_key(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        MulticastSettings.load(table)
    assert next(iter(table)) in str(caught.value)


@pytest.mark.parametrize(
    ("table", "group", "said"),
    [
        ({}, "ff35::8000:1", "not of IP version 4"),
        ({"ip": 6}, "239.194.17.36", "not of IP version 6"),
        ({"mode": "asm"}, "232.5.5.5", "mode = 'asm'"),
        ({"ip": 6, "mode": "asm"}, "ff35::8000:1", "mode = 'asm'"),
    ],
)
def test_a_group_that_casts_cannot_have_is_refused_with_a_hint(table: dict[str, Any], group: str, said: str) -> None:
    settings = MulticastSettings.load(table)
    with pytest.raises(UsageError, match=said) as caught:
        settings.check_wish(group)
    assert caught.value.hint


@pytest.mark.parametrize(("table", "group"), [({}, "232.5.5.5"), ({}, "239.194.17.36"), ({"mode": "asm"}, "239.1.1.1")])
def test_other_groups_may_be_wished_for(table: dict[str, Any], group: str) -> None:
    MulticastSettings.load(table).check_wish(group)


def test_ipv6_has_its_own_range() -> None:
    assert MulticastSettings.load({"ip": 6}).group_range.startswith("ff35:")
    assert MulticastSettings.load({"ip": 6, "mode": "asm"}).group_range.startswith("ff15:")
