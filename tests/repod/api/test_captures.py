"""Requests about captures: exclusive, complete or invisible, signed by the repository."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from images.manifest import parse_manifest, restamp, sign_manifest
from images.signing import SigningKey
from repod.layout import Layout

pytestmark = pytest.mark.asyncio

CONTENT = b"captured" * 50_000


async def test_a_capture_appears_when_complete_and_not_before(daemon, upload, unsigned, layout: Layout) -> None:
    async with daemon() as api:
        status, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc1"})
        assert status == 201
        assert opened["offers"][0]["transport"] == "unicast"
        path = f"/v1/captures/{opened['capture']}/manifest"
        status, body, _ = await api.ask("PUT", path, data=unsigned("win", CONTENT))
        assert (status, body["error"], body["code"]) == (409, "CaptureError", 52)
        assert (await api.ask("GET", "/v1/images"))[1] == {"images": []}
        upload(CONTENT)
        status, committed, _ = await api.ask("PUT", path, data=unsigned("win", CONTENT))
        assert (status, committed["image"]["version"]) == (201, 1)
        again = await api.ask("PUT", path, data=unsigned("win", CONTENT))
        assert (again[0], again[1]) == (201, committed)
        _, data, _ = await api.ask("GET", "/v1/images/win/manifest")
        manifest = parse_manifest(data)
        manifest.verify(layout.load_signing_key().public)
        assert manifest.created > "2026-01-01T00:00:00Z"
        assert (await api.ask("POST", "/v1/captures", json={"name": "win"}))[0] == 201


async def test_one_of_two_captures_at_once_is_locked_out(daemon) -> None:
    async with daemon() as api:
        answers = await asyncio.gather(
            *(api.ask("POST", "/v1/captures", json={"name": "win", "host": host}) for host in ("pc1", "pc2"))
        )
        assert sorted(status for status, _, _ in answers) == [201, 423]
        refused = next(body for status, body, _ in answers if status == 423)
        assert (refused["error"], refused["code"]) == ("LockedError", 4)
        assert "pc" in refused["message"]
        opened = next(body for status, body, _ in answers if status == 201)
        assert (await api.ask("DELETE", f"/v1/captures/{opened['capture']}"))[0] == 204
        assert (await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc3"}))[0] == 201


async def test_manifests_that_are_not_this_captures_are_refused(daemon, upload, unsigned) -> None:
    upload(CONTENT)
    async with daemon() as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        path = f"/v1/captures/{opened['capture']}/manifest"
        good = unsigned("win", CONTENT)
        for data, status in (
            (b"", 400),
            (b"garbage" * 100, 400),
            (good[:-1], 400),
            (sign_manifest(good, SigningKey.generate()), 400),
            (unsigned("other", CONTENT), 409),
            (restamp(good, name="linux"), 409),
        ):
            got, body, _ = await api.ask("PUT", path, data=data)
            assert (got, body["error"] in ("ManifestError", "CaptureError")) == (status, True), body
        assert (await api.ask("GET", "/v1/images"))[1] == {"images": []}
        assert (await api.ask("PUT", path, data=good))[0] == 201


async def test_a_manifest_too_large_is_refused_unread(daemon) -> None:
    async with daemon(**{"limits.manifest_bytes": 65_536}) as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win"})
        status, body, _ = await api.ask("PUT", f"/v1/captures/{opened['capture']}/manifest", data=bytes(70_000))
        assert (status, body["error"]) == (413, "UsageError")


@pytest.mark.parametrize("name", ["a/b", "..", "", "a\0b", "x" * 200, "x" * 300, "ä", "win@1"])
async def test_bad_names_take_no_lock(daemon, name) -> None:
    async with daemon() as api:
        status, body, _ = await api.ask("POST", "/v1/captures", json={"name": name})
        assert (status, body["error"]) == (400, "UsageError")


async def test_a_capture_nobody_carries_on_expires(daemon) -> None:
    async with daemon(**{"limits.capture_hold_s": 1.0}) as api:
        _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc1"})
        for _ in range(50):
            if (await api.ask("POST", "/v1/captures", json={"name": "win", "host": "pc2"}))[0] == 201:
                break
            await asyncio.sleep(0.2)
        else:
            pytest.fail("the lock was never freed")
        assert (await api.ask("PUT", f"/v1/captures/{opened['capture']}/manifest", data=b"x"))[0] == 404


async def test_unknown_captures_are_404_or_harmless(daemon) -> None:
    async with daemon() as api:
        assert (await api.ask("PUT", "/v1/captures/nosuch/manifest", data=b"x"))[0] == 404
        assert (await api.ask("DELETE", "/v1/captures/nosuch"))[0] == 204


async def test_large_manifests_are_taken_one_at_a_time_while_a_small_one_passes(
    daemon, unsigned, upload, monkeypatch
) -> None:
    small, large = b"x" * 1000, b"y" * 4 * 65_536
    monkeypatch.setattr("repod.api.captures.LARGE_MANIFEST_BYTES", len(unsigned("a", small)) + 1)
    go_on = asyncio.Event()

    async def slowly(data: bytes) -> AsyncIterator[bytes]:
        yield data[:64]
        await go_on.wait()
        yield data[64:]

    async with daemon() as api, asyncio.timeout(30):
        upload(small)
        upload(large)
        paths = {}
        for name in ("a", "b", "c"):
            _, opened, _ = await api.ask("POST", "/v1/captures", json={"name": name})
            paths[name] = f"/v1/captures/{opened['capture']}/manifest"
        first = asyncio.ensure_future(api.ask("PUT", paths["b"], data=slowly(unsigned("b", large))))
        second = asyncio.ensure_future(api.ask("PUT", paths["c"], data=slowly(unsigned("c", large))))
        await asyncio.sleep(0)
        assert (await api.ask("PUT", paths["a"], data=unsigned("a", small)))[0] == 201
        assert (await api.ask("GET", "/v1/images"))[1]["images"][0]["name"] == "a"
        assert not first.done()
        assert not second.done()
        go_on.set()
        assert {(await first)[0], (await second)[0]} == {201}
