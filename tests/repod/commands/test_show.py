"""repod show."""

from __future__ import annotations

from images.signing import SigningKey


def test_it_says_what_the_image_is_and_that_the_signature_holds(repod, layout, publish) -> None:
    publish("win", b"x" * 100_000)
    facts = repod("show", layout.root, "win", "--json").json
    assert (facts["version"], facts["size"], facts["data_bytes"], facts["signature"]) == (1, 100_000, 100_000, "valid")
    assert "97.7 KiB" in repod("show", layout.root, "win@1").out


def test_a_signature_by_another_key_is_told(repod, layout, publish, relayed) -> None:
    publish("win", b"x" * 1000)
    assert "not signed by" in repod("show", layout.root, "win").out


def test_what_a_main_repository_signed_is_valid_in_the_store_of_a_relay(repod, layout, publish) -> None:
    publish("win", b"x" * 1000)
    layout.signing_key.write_bytes(SigningKey.generate().to_pem())
    assert repod("show", layout.root, "win", "--json").json["signature"] == "valid"


def test_without_any_key_no_signature_is_called_valid(repod, layout, publish) -> None:
    publish("win", b"x" * 1000)
    layout.signing_key.unlink()
    layout.client.unlink()
    assert "not checked" in repod("show", layout.root, "win").out


def test_unknown_images_hint_at_close_names(repod, layout, publish) -> None:
    publish("classroom", b"x" * 1000)
    outcome = repod("show", layout.root, "clasroom")
    assert outcome.code == 2
    assert "classroom" in outcome.err
