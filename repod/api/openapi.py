"""The OpenAPI 3.1 description, made from the route table and the message types so that it cannot drift."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from core.version import __version__
from repod.api.routes import Route
from transports.control import ErrorBody

__all__ = ["describe"]

_PARAMETER = re.compile(r"\{(\w+)\}")
_PARAMETERS = {
    "ref": "`name` or `name@version`",
    "id": "Id of a session or capture",
    "secret": "Secret of a published torrent",
    "file": "Name of the published file",
}


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document; `routes` have their final paths."""
    types = [kind for route in routes for kind in (route.request, route.answer) if _is_message(kind)]
    unique = list(dict.fromkeys([*types, ErrorBody]))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ogcast repository", "version": __version__, "license": {"name": "GPL-3.0-or-later"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    refusals = set(route.errors) | ({401, 403} if route.role is not None else set())
    responses: dict[str, Any] = {str(int(route.status)): _answer(route, schema_of)}
    for status in sorted(refusals):
        responses[str(status)] = {
            "description": "ErrorBody",
            "content": {"application/json": {"schema": schema_of[ErrorBody]}},
        }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "responses": responses,
        "security": [] if route.role is None else [{"token": [str(route.role)]}],
    }
    names = _PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PARAMETERS[name],
                "schema": {"type": "string"},
            }
            for name in names
        ]
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {route.body_media: {"schema": schema_of.get(route.request, {})}},
        }
    return operation


def _answer(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.status.phrase}
    if route.status.value != 204:
        answer["content"] = {route.media: {"schema": schema_of.get(route.answer, {})}}
    return answer


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
