"""Every file of bench/scenarios is a scenario, and an unknown name is answered with the known ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import scenario
from core.errors import UsageError


def test_every_file_is_one_scenario() -> None:
    folder = Path(scenario.__file__).parent / "scenarios"
    files = [path for path in folder.rglob("*.py") if path.stem != "__init__"]
    assert len(scenario.scenarios()) == len(files)
    for one in scenario.scenarios().values():
        assert one.question.endswith("?")


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        scenario.find_scenario("nonsense")
    assert "chunks" in (caught.value.hint or "")


def test_a_family_is_chosen_by_its_first_word() -> None:
    family = scenario.choose_scenarios("multicast")
    assert len(family) > 5
    assert all(one.name.startswith("multicast-") for one in family)
    assert [one.name for one in scenario.choose_scenarios("demo")] == ["demo"]
