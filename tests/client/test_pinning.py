from __future__ import annotations

import ssl

import pytest

from client.pinning import pinned_context
from core.errors import AuthenticationError


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    with pytest.raises(AuthenticationError) as caught:
        pinned_context("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert "client.toml" in str(caught.value.hint)


def test_the_host_is_not_asked_for_but_the_certificate_is(own_certificate: str) -> None:
    context = pinned_context(own_certificate)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname
    assert context.cert_store_stats()["x509"] == 1


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    import datetime

    from repod.initialise import initialise
    from repod.layout import Layout

    root = tmp_path_factory.mktemp("pinning") / "repository"
    initialise(root, hosts=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    return Layout(root).certificate.read_text()
