"""Requests about images."""

from __future__ import annotations

import pytest

from images.manifest import parse_manifest
from repod.layout import Layout

pytestmark = pytest.mark.asyncio


async def test_an_image_imported_while_serving_is_there_at_once(daemon, publish) -> None:
    async with daemon() as api:
        assert (await api.ask("GET", "/v1/images"))[1] == {"images": []}
        publish("win", b"one" * 100_000)
        publish("win", b"two" * 100_000)
        _, body, _ = await api.ask("GET", "/v1/images")
        assert [(image["name"], image["version"], image["size"]) for image in body["images"]] == [
            ("win", 1, 300_000),
            ("win", 2, 300_000),
        ]
        assert (await api.ask("GET", "/v1/images/win"))[1]["version"] == 2
        assert (await api.ask("GET", "/v1/images/win@1"))[1]["version"] == 1


async def test_the_manifest_is_the_signed_file_and_its_etag_the_root(daemon, publish, layout: Layout) -> None:
    publish("win", b"abc" * 100_000)
    async with daemon() as api:
        status, data, response = await api.ask("GET", "/v1/images/win/manifest")
        manifest = parse_manifest(data)
        manifest.verify(layout.load_signing_key().public)
        assert status == 200
        assert response.headers["ETag"] == f'"{manifest.root.hex()}"'
        again = await api.ask("GET", "/v1/images/win/manifest", headers={"If-None-Match": response.headers["ETag"]})
        assert again[0] == 304


async def test_an_unknown_image_is_404_with_close_names(daemon, publish) -> None:
    publish("classroom", b"x" * 1000)
    async with daemon() as api:
        for path in ("/v1/images/clasroom", "/v1/images/clasroom/manifest"):
            status, body, _ = await api.ask("GET", path)
            assert (status, body["error"], body["code"]) == (404, "NotFoundError", 2)
            assert "classroom" in body["hint"]
        assert (await api.ask("GET", "/v1/images/classroom@7"))[0] == 404


@pytest.mark.parametrize(
    "name", ["..", "a%2Fb", "%2e%2e%2fetc", "a%00b", "x" * 300, "%C3%A4", "-rf", "a%20b", "a@0", "a@x", "a@1@1", "%FF"]
)
async def test_names_that_could_be_paths_are_refused(daemon, name) -> None:
    import yarl

    async with daemon() as api:
        for method, role in (("GET", "client"), ("DELETE", "operator")):
            headers = {"Authorization": f"Bearer {api.tokens[role]}"}
            url = yarl.URL(f"{api.url}/v1/images/{name}", encoded=True)
            async with api.http.request(method, url, headers=headers) as response:
                body = await response.json()
                assert response.status in (400, 404, 405), body
                assert body["error"] in ("UsageError", "NotFoundError")


async def test_removing_hides_the_version_and_a_session_keeps_it(daemon, publish) -> None:
    publish("win", b"abc" * 100_000)
    async with daemon() as api:
        status, opened, _ = await api.ask(
            "POST", "/v1/sessions", json={"image": "win", "method": "UNICAST-DIRECT", "want": 5}
        )
        assert status == 201
        assert (await api.ask("DELETE", "/v1/images/win", role="operator"))[0] == 204
        assert (await api.ask("GET", "/v1/images"))[1] == {"images": []}
        report = {"state": "transferring", "have": 1}
        assert (await api.ask("POST", f"/v1/sessions/{opened['session']}/reports", json=report))[0] == 200
        assert (await api.ask("DELETE", "/v1/images/win", role="operator"))[0] == 404


async def test_a_damaged_manifest_does_not_hide_the_others(daemon, publish, layout: Layout) -> None:
    publish("good", b"x" * 1000)
    publish("bad", b"y" * 1000)
    (layout.root / "manifests" / "bad" / "1.ogm").write_bytes(b"garbage")
    async with daemon() as api:
        _, body, _ = await api.ask("GET", "/v1/images")
        assert [image["name"] for image in body["images"]] == ["good"]
        assert (await api.ask("GET", "/v1/images/bad"))[0] >= 400
