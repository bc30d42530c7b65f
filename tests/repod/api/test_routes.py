"""The table of routes: each says who may ask, and only what must be open is open."""

from __future__ import annotations

from repod.api.application import all_routes
from repod.tokens import Role

OPEN = {"/healthz", "/metrics"}
BY_SECRET = {"/announce/{secret}", "/torrents/{secret}/{file}"}
FOR_OPERATORS = {
    ("DELETE", "/v1/images/{ref}"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/events"),
    ("GET", "/v1/torrents"),
}


def test_only_watching_is_open_to_anybody_and_torrents_to_who_knows_them() -> None:
    assert {route.path for route in all_routes() if route.role is None} == OPEN | BY_SECRET


def test_what_operators_alone_may_do_is_what_the_wire_page_says() -> None:
    assert {(route.method, route.path) for route in all_routes() if route.role is Role.OPERATOR} == FOR_OPERATORS


def test_no_request_is_answered_twice() -> None:
    pairs = [(route.method, route.path) for route in all_routes()]
    assert len(pairs) == len(set(pairs))
