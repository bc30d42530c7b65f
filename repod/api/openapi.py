"""The OpenAPI 3.1 description, made from the route table and the message types so that it cannot drift."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from core.version import __version__
from repod.api.routes import Further, Route
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
    kinds = [
        kind for route in routes for kind in (route.request, route.answer, *(other.answer for other in route.further))
    ]
    types = [kind for kind in kinds if _is_message(kind)]
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
    error_body = {"application/json": {"schema": schema_of[ErrorBody]}}
    for status in sorted(refusals):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": error_body}
    for other in route.further:
        _add(responses, other, schema_of)
    responses["default"] = {
        "description": "Any other error: 500 a defect, 503 too slow or too busy",
        "content": error_body,
    }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "responses": responses,
        "security": [] if route.role is None else [{"token": [str(route.role)]}],
    }
    carried = [(name, "path", True, _PARAMETERS[name]) for name in _PARAMETER.findall(route.path)]
    carried += [(given.name, given.place, given.required, given.text) for given in route.parameters]
    if carried:
        operation["parameters"] = [
            {"name": name, "in": place, "required": required, "description": text, "schema": {"type": "string"}}
            for name, place, required, text in carried
        ]
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {route.body_media: {"schema": schema_of.get(route.request, {})}},
        }
    return operation


def _add(responses: dict[str, Any], other: Further, schema_of: dict[Any, Any]) -> None:
    """One status may have several content types."""
    answer = responses.setdefault(str(int(other.status)), {"description": other.text})
    if other.media is not None:
        answer.setdefault("content", {})[other.media] = {"schema": schema_of.get(other.answer, {})}


def _answer(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.status.phrase}
    if route.status.value != 204:
        answer["content"] = {route.media: {"schema": schema_of.get(route.answer, {})}}
    return answer


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
