"""The registry finds transports and explains itself when it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import UsageError
from transports.base import Offer
from transports.registry import BUILT_IN, by_name, by_protocol, client_offer, collect, load_client, load_server


def test_unicast_is_found_by_name_and_by_protocol_in_any_case() -> None:
    assert by_name("unicast") is by_protocol("unicast") is by_protocol("UNICAST")


def test_both_halves_can_be_loaded() -> None:
    assert load_server(by_name("unicast")).__name__ == "UnicastServer"  # type: ignore[attr-defined]
    assert load_client(by_name("unicast")).__name__ == "UnicastClient"  # type: ignore[attr-defined]


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        by_protocol("UNICATS")
    assert "UNICAST" in str(caught.value.hint)
    assert "did you mean" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        by_protocol("TOPICAST")
    assert "did you mean" not in str(caught.value.hint)


def test_an_entry_point_that_repeats_a_built_in_counts_once() -> None:
    assert list(collect(BUILT_IN.items())) == list(collect([]))


def test_an_entry_point_adds_a_transport() -> None:
    assert collect([("memory", "transports.memory:TRANSPORT")])["memory"].protocol == "MEMORY"


@pytest.mark.parametrize(
    "point",
    [
        ("unicast", "transports.memory:TRANSPORT"),
        ("other", "transports.memory:TRANSPORT"),
        ("gone", "no_such_module:X"),
        ("empty", "transports.memory:NOTHING"),
        ("odd", "transports.memory"),
        ("wrong", "transports.memory:MemoryServer"),
    ],
)
def test_a_duplicate_or_broken_entry_point_is_an_error(point: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        collect([point])


def test_the_first_offer_that_is_known_here_is_taken() -> None:
    known = Offer(transport="unicast", parameters={})
    assert client_offer([Offer(transport="from the future", parameters={}), known]) is known
    assert client_offer([]) is None


def test_looking_up_loads_neither_half() -> None:
    code = "import sys, transports.registry as r; r.by_protocol('UNICAST')"
    code += "; print('transports.unicast.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
