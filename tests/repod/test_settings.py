"""The daemon's settings: the file init makes says the defaults; contradictions name their key."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from core.config import render, render_template
from core.errors import UsageError
from repod.layout import Layout
from repod.settings import Settings, check_tables, load_settings
from transports.registry import specs


def test_the_file_made_by_init_documents_every_key_and_changes_nothing(layout: Layout) -> None:
    assert load_settings(layout).value == Settings()
    text = layout.settings.read_text()
    for line in render(load_settings(layout)).splitlines():
        assert line.startswith("[") or not line or line.split(" =")[0] in text


def test_every_default_shown_is_a_value_the_loader_takes(layout: Layout) -> None:
    text = render_template(Settings, heading="x")
    layout.settings.write_text("\n".join(line.removeprefix("#") for line in text.splitlines() if "# " not in line))
    assert tomllib.loads(layout.settings.read_text())["limits"]["sessions"] == 1024
    assert load_settings(layout).value == Settings()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("chunk_size = 100000", "chunk_size"),
        ("chunk_size = 32768", "chunk_size"),
        ("chunk_size = -1", "chunk_size"),
        ("level = 23", "level"),
        ("port = 65536", "port"),
        ("log_level = 'loud'", "log_level"),
        ("[limits]\nsessions = 0", "limits.sessions"),
        ("[limit]\nsessions = 1", "limit"),
    ],
)
def test_values_that_make_no_sense_are_refused_naming_the_key(layout: Layout, text: str, key: str) -> None:
    layout.settings.write_text(text)
    with pytest.raises(UsageError, match=key) as caught:
        load_settings(layout)
    assert str(layout.settings) in str(caught.value)


@pytest.mark.parametrize("name", ["repo.example", "og_server", "10.0.0.1", "fe80::1%eth0", "::", ""])
def test_names_and_addresses_of_this_machine_are_taken(layout: Layout, name: str) -> None:
    found = load_settings(layout, flags={"host": name, "advertise": name}).value
    assert (found.host, found.advertise) == (name, name)


@pytest.mark.parametrize("key", ["host", "advertise"])
@pytest.mark.parametrize("name", ["a b", "https://repo.example", "repo.example:8717", "x" * 64, ".", "a..b"])
def test_what_is_no_name_of_a_machine_is_refused_naming_the_key(layout: Layout, key: str, name: str) -> None:
    with pytest.raises(UsageError, match=key):
        load_settings(layout, flags={key: name})


@pytest.mark.parametrize("enabled", ['"no"', "0", "[]"])
def test_a_transport_is_switched_off_by_false_alone(layout: Layout, enabled: str) -> None:
    layout.settings.write_text(f"[transports.p2p]\nenabled = {enabled}\n")
    with pytest.raises(UsageError, match=r"transports\.p2p\.enabled"):
        load_settings(layout)
    layout.settings.write_text("[transports.p2p]\nenabled = false\n")
    assert load_settings(layout).value.transports["p2p"]["enabled"] is False


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"pigeon": {}}, "pigeon"),
        ({"p2p": {"port": -1}}, r"transports\.p2p\.port"),
        ({"unicast": {"enabled": True, "prot": 1}}, r"transports\.unicast\.prot"),
        ({"multicast": {"ip": 6, "groups": "239.0.0.0/8"}}, r"transports\.multicast\.groups"),
    ],
)
def test_tables_that_no_transport_takes_are_refused_without_starting_one(tables: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        check_tables(tables, specs().values())


def test_the_table_of_a_transport_that_is_switched_off_is_not_looked_at() -> None:
    check_tables({"p2p": {"enabled": False, "port": -1}, "unicast": {"enabled": True}}, specs().values())


def test_the_environment_wins_over_the_file_and_flags_over_both(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.settings.write_text("port = 1\nlevel = 5\n")
    monkeypatch.setenv("REPOD_PORT", "2")
    assert load_settings(layout).value.port == 2
    assert load_settings(layout, flags={"port": 3}).value.port == 3
    assert load_settings(layout).value.level == 5


def test_a_key_of_a_transport_whose_table_is_still_commented_out_is_told_where_it_belongs(layout: Layout) -> None:
    text = layout.settings.read_text()
    layout.settings.write_text(text.replace("\n#rate_mbit_per_s =", "\nrate_mbit_per_s ="))
    with pytest.raises(UsageError, match="rate_mbit_per_s") as caught:
        load_settings(layout)
    assert caught.value.hint is not None
    assert "[transports.multicast]" in caught.value.hint
    layout.settings.write_text(layout.settings.read_text().replace("#[transports.multicast]", "[transports.multicast]"))
    assert load_settings(layout).value.transports["multicast"]["rate_mbit_per_s"] == 0
    layout.settings.write_text("nonsense = 1")
    with pytest.raises(UsageError) as caught:
        load_settings(layout)
    assert "#" not in str(caught.value.hint)
