"""Errors as answers: always an ErrorBody, never the daemon's end."""

from __future__ import annotations

import msgspec
import pytest

from core import errors
from repod.api.errors import error_response, status_of
from transports.control import ErrorBody


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 400),
        (errors.ManifestError("x"), 400),
        (errors.AuthenticationError("x"), 401),
        (errors.NotFoundError("x"), 404),
        (errors.ChunkError("x"), 409),
        (errors.CaptureError("x"), 409),
        (errors.LockedError("x"), 423),
        (errors.RepositoryError("x"), 500),
        (errors.BusyError("x"), 503),
        (errors.RepositoryFullError("x"), 507),
    ],
)
def test_each_error_has_its_status_and_keeps_its_name_and_code(error: errors.OgcastError, status: int) -> None:
    assert status_of(error) == status
    response = error_response(error)
    assert isinstance(response.body, bytes)
    body = msgspec.json.decode(response.body, type=ErrorBody)
    assert (response.status, body.error, body.code) == (status, type(error).__name__, error.exit_code)


@pytest.mark.asyncio
async def test_unknown_paths_and_methods_are_error_bodies(daemon) -> None:
    async with daemon() as api:
        status, body, _ = await api.ask("GET", "/v2/nothing")
        assert (status, body["error"]) == (404, "NotFoundError")
        status, body, response = await api.ask("PATCH", "/v1/images")
        assert (status, body["error"]) == (405, "UsageError")
        assert "GET" in response.headers["Allow"]


@pytest.mark.asyncio
async def test_a_defect_is_500_without_its_text_and_the_daemon_goes_on(daemon, monkeypatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("repod.catalogue.Catalogue.images", broken)
    async with daemon() as api:
        status, body, _ = await api.ask("GET", "/v1/images")
        assert status == 500
        assert "secret" not in str(body)
        assert (await api.ask("GET", "/healthz", role=None))[0] == 200


@pytest.mark.asyncio
async def test_a_client_that_hangs_up_while_it_is_answered_is_no_fault_of_the_daemon(
    daemon, monkeypatch, caplog
) -> None:
    async def gone(*_: object) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr("repod.catalogue.Catalogue.info", gone)
    async with daemon() as api:
        status, _, _ = await api.ask("GET", "/v1/images/img")
        assert status == 400
        assert (await api.ask("GET", "/healthz", role=None))[0] == 200
    assert not [record for record in caplog.records if record.exc_info]
