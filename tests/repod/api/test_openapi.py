"""The description cannot drift: it has every route, and every reference in it leads somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from repod.api.application import all_routes
from repod.api.openapi import describe
from transports.control import API_PREFIX

DOCUMENT = Path(__file__).parents[3] / "docs" / "wire-control.md"


def test_every_route_is_described_and_every_reference_resolves() -> None:
    document = describe(all_routes())
    for route in all_routes():
        assert route.method.lower() in document["paths"][route.path]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_the_wire_page_lists_exactly_these_requests() -> None:
    listed = set(re.findall(r"^\| (GET|HEAD|POST|PUT|DELETE) (\S+) \|", DOCUMENT.read_text(), re.MULTILINE))
    served = {(route.method, route.path) for route in all_routes()} | {("GET", f"{API_PREFIX}/openapi.json")}
    assert listed == served


@pytest.mark.asyncio
async def test_it_is_served_to_anybody(daemon) -> None:
    async with daemon() as api:
        status, document, _ = await api.ask("GET", f"{API_PREFIX}/openapi.json", role=None)
        assert (status, document["openapi"]) == (200, "3.1.0")
        assert f"{API_PREFIX}/openapi.json" in document["paths"]
